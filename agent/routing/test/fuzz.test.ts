import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe } from 'node:test';

import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id';
import { RecordEnvelope } from '@libp2p/peer-record';
import { multiaddr } from '@multiformats/multiaddr';

import { fuzz, fuzzAsync } from '../../testing/fuzz/fuzz.ts';
import { decodeAnnounce, encodeAnnounce } from '../announce/announce-messages.ts';
import {
  MAX_ANNOUNCED_KEYS,
  openAnnouncement,
  sealAnnouncement,
  type Announcement,
} from '../announce/announcement.ts';
import { readPeers } from '../dht/dht-client.ts';
import {
  decodeDhtMessage,
  encodeAddProvider,
  encodeAnswer,
  encodeFindNode,
  encodeGetProviders,
  encodePeer,
  encodePing,
  encodeProvider,
  isRepeatable,
  keyOfRepeat,
  MAX_PEERS_PER_LIST,
  MESSAGE_TYPE,
  type DhtMessage,
} from '../dht/dht-messages.ts';
import { frame, FrameDecoder, FrameError } from '../dht/frames.ts';
import { peerBytes } from '../dht/kademlia.ts';
import { multihashOf, recordKeyOf, routingKey, targetOf } from '../dht/key.ts';
import { field, fields, numberField } from '../dht/protobuf.ts';
import { providerFromPeer } from '../lookup/provider-origins.ts';
import { AddressBook, readAddress } from '../node/address-book.ts';
import { AddressPolicy } from '../node/address-policy.ts';
import { announcedAddresses, dialable, tcpAddress } from '../node/announced-addresses.ts';
import { KeyStream } from '../private-network/key-stream.ts';

const CORPORA = join(import.meta.dirname, 'corpus');
const MAX_FRAME = 4096;

const privateKey = await generateKeyPairFromSeed('Ed25519', new Uint8Array(32).fill(1));
const peerId = peerIdFromPrivateKey(privateKey);
const id = peerId.toMultihash().bytes;
const { multihash } = routingKey('docker.io/library/alpine:3.20');
const ADDRESSES = [
  '/ip4/10.0.0.7/tcp/5001',
  '/ip6/fd00::7/tcp/5001',
  '/ip4/10.0.0.7/tcp/6000/tls/http',
  `/ip4/10.0.0.7/tcp/5001/p2p/${peerId.toString()}`,
  '/dns4/node.example/tcp/5001',
  '/ip6zone/eth0/ip6/fe80::1/tcp/5001',
].map((text) => multiaddr(text).bytes);
const peer = encodePeer({ id, multiaddrs: ADDRESSES });
const policy = new AddressPolicy({ loopback: () => false, interfaces: () => [] });
const ANSWER = encodeAnswer({
  type: MESSAGE_TYPE.getProviders,
  key: multihash,
  closer: [peer, peer],
  providers: [peer],
  established: true,
});
const MESSAGES = [
  encodeAddProvider(multihash, encodeProvider({ id, multiaddrs: ADDRESSES })),
  encodeGetProviders(multihash),
  encodeGetProviders(multihash, 12_345),
  encodeFindNode(id),
  encodePing(),
  ANSWER,
];
/** Has more than are read of a list. */
const MANY = encodeAnswer({
  type: MESSAGE_TYPE.findNode,
  key: multihash,
  closer: Array<Uint8Array>(200).fill(encodePeer({ id, multiaddrs: [] })),
  providers: [encodePeer({ id, multiaddrs: Array<Uint8Array>(40).fill(ADDRESSES[0] ?? id) })],
});

const ANNOUNCEMENT = {
  multiaddrs: ADDRESSES.slice(0, 2),
  sequence: 1_700_000_000_000,
  label: 3,
  provided: ['one', 'two'].map((name) => routingKey(name).recordKey),
  withdrawn: [routingKey('three').recordKey],
};
const { envelope } = await sealAnnouncement(ANNOUNCEMENT, privateKey);

const { payload } = RecordEnvelope.createFromProtobuf(envelope);

/** The messages of a stream that comes in parts of this size. */
function split(bytes: Buffer, size: number): Uint8Array[] {
  const decoder = new FrameDecoder(MAX_FRAME);
  const messages: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    messages.push(...decoder.push(bytes.subarray(at, at + size)));
  }
  return messages;
}

describe('what nodes send each other at the port of the router', () => {
  fuzz(CORPORA, {
    name: 'frames',
    seeds: [Buffer.concat(MESSAGES.map(frame)), frame(new Uint8Array(MAX_FRAME))],
    errors: [FrameError],
    iterations: 1000,
    parse: (input) => split(input, Math.max(1, input.length)),
    check(messages, input) {
      const text = textOf(messages);
      for (const size of [1, 7]) assert.equal(textOf(split(input, size)), text);
      for (const { length } of messages) assert.ok(length <= MAX_FRAME);
      assert.equal(textOf(split(Buffer.concat(messages.map(frame)), MAX_FRAME)), text);
    },
  });

  fuzz(CORPORA, {
    name: 'fields',
    seeds: [...MESSAGES, numberField(1000, 2 ** 53 - 1)],
    errors: [FrameError],
    iterations: 1000,
    parse: (input) => [...fields(input)],
    check(read) {
      // Larger numbers are rounded; none of ours is that large.
      const plain = read.filter(({ number, value }) => number < 2 ** 28 && isExact(value));
      const written = plain.map(({ number, value }) =>
        typeof value === 'number' ? numberField(number, value) : field(number, value),
      );
      const again = [...fields(Buffer.concat(written))];
      assert.equal(textOf(again), textOf(plain));
    },
  });

  fuzz(CORPORA, {
    name: 'messages of the DHT',
    seeds: [...MESSAGES, MANY],
    errors: [FrameError],
    parse(input) {
      const message = decodeDhtMessage(input);
      const { key, closer, providers } = message;
      targetOf(key);
      const listed = [...closer, ...providers];
      for (const each of listed) peerBytes(each.id);
      return { message, peers: readPeers(listed) };
    },
    check({ message, peers }) {
      const { type, key, closer, providers, established } = message;
      for (const list of [closer, providers]) assert.ok(list.length <= MAX_PEERS_PER_LIST);
      for (const { multiaddrs } of [...closer, ...providers]) assert.ok(multiaddrs.length <= 16);
      const book = new AddressBook();
      for (const { peerId: text, multiaddrs } of peers) {
        assert.equal(peerIdFromString(text).toString(), text);
        book.set(
          text,
          id,
          multiaddrs.map(({ bytes }) => bytes),
        );
      }
      if (type > 127) return;
      const said = { type, key, ...(established !== undefined && { established }) };
      const wires = { closer: closer.map(encodePeer), providers: providers.map(encodePeer) };
      const again = decodeDhtMessage(encodeAnswer({ ...said, ...wires }));
      const plain = { ...message, providersOnly: false, closerThan: 0 };
      assert.equal(textOf(again), textOf(plain));
    },
  });

  fuzz(CORPORA, {
    name: 'repeated records',
    seeds: [Buffer.concat([MESSAGES[0] ?? Buffer.of(), MESSAGES[0] ?? Buffer.of()])],
    errors: [],
    parse(input) {
      const half = input.length >> 1;
      const [bytes, previous] = [input.subarray(0, half), input.subarray(half)];
      const before = decodeOrSkip(previous);
      const isModel = before !== undefined && isRepeatable(previous, before);
      return isModel ? { bytes, key: keyOfRepeat(bytes, previous) } : undefined;
    },
    check(repeat) {
      // A short cut for what decoding gives.
      if (repeat?.key === undefined) return;
      assert.equal(hex(repeat.key), hex(decodeDhtMessage(repeat.bytes).key));
    },
  });

  fuzz(CORPORA, {
    name: 'keys',
    seeds: [multihash],
    errors: [],
    parse(input) {
      const key = recordKeyOf(input);
      if (key !== undefined) assert.equal(hex(multihashOf(key)), hex(input));
      return key;
    },
  });

  fuzz(CORPORA, {
    name: 'addresses',
    seeds: ADDRESSES,
    errors: [],
    parse(input) {
      const [address] = readAddress(input);
      if (address === undefined) return undefined;
      assert.equal(hex(address.bytes), hex(input));
      assert.deepEqual(readAddress(address.bytes).map(String), [address.toString()]);
      const socket = tcpAddress(address);
      const isAllowed = socket !== undefined && policy.allows(socket);
      const dialled = dialable([address], (each) => policy.allows(each));
      assert.ok(dialled.length === 0 || isAllowed);
      for (const each of dialled) assert.ok(policy.allowsDial(each));
      announcedAddresses([address], { port: 6000, tls: true });
      const provider = providerFromPeer(
        { peerId: peerId.toString(), multiaddrs: [address] },
        { registryPort: 5000, allows: (each) => policy.allows(each) },
      );
      for (const origin of provider?.origins ?? []) assert.equal(new URL(origin).origin, origin);
      return [address, provider];
    },
  });

  fuzz(CORPORA, {
    name: 'messages of announcements',
    seeds: [
      encodeAnnounce({ type: 1, envelope: Buffer.from('envelope'), half: 1, ageMs: 2500 }),
      encodeAnnounce({ type: 3, point: 2 ** 32 - 1, distance: 77 }),
      encodeAnnounce({
        type: 4,
        taken: 9,
        strangers: [peer, peer],
        sequence: 2 ** 50,
        complete: 1,
      }),
    ],
    errors: [FrameError],
    parse(input) {
      const message = decodeAnnounce(input);
      return { message, strangers: readPeers(message.strangers) };
    },
    check({ message }) {
      if (!Object.values(message).every(isExact)) return;
      const strangers = message.strangers.map(encodePeer);
      const again = decodeAnnounce(encodeAnnounce({ ...message, strangers }));
      assert.equal(textOf(again), textOf(message));
    },
  });

  fuzzAsync(CORPORA, {
    name: 'sealed announcements',
    seeds: [envelope],
    errors: [FrameError],
    async parse(input) {
      const opened = await openAnnouncement(input);
      // No other bytes have the signature, whatever they are around it.
      assert.equal(contentOf(opened), contentOf(ANNOUNCEMENT));
      return opened;
    },
  });

  fuzzAsync(CORPORA, {
    name: 'announcements of a member',
    seeds: [payload],
    errors: [FrameError],
    iterations: 1000,
    async parse(input) {
      const record = {
        domain: 'peerglass-announcement',
        codec: Uint8Array.of(0x30, 0x01),
        marshal: () => input,
        equals: () => false,
      };
      const sealed = await RecordEnvelope.seal(record, privateKey);
      const opened = await openAnnouncement(sealed.marshal());
      for (const { length } of [opened.provided, opened.withdrawn]) {
        assert.ok(length <= MAX_ANNOUNCED_KEYS);
      }
      if (!isExact(opened.sequence) || !isExact(opened.label)) return 'large';
      const again = await openAnnouncement((await sealAnnouncement(opened, privateKey)).envelope);
      assert.equal(contentOf(again), contentOf(opened));
      return opened;
    },
  });

  fuzz(CORPORA, {
    name: 'key stream',
    seeds: [Buffer.alloc(300, 5)],
    errors: [],
    parse(input) {
      const stream = (): KeyStream => new KeyStream(Buffer.alloc(32, 1), Buffer.alloc(24, 2));
      const whole = stream().xor(input);
      const parts = stream();
      const at = (input[0] ?? 0) % Math.max(1, input.length);
      const rest = [input.subarray(0, at), input.subarray(at)].map((part) => parts.xor(part));
      assert.equal(hex(Buffer.concat(rest)), hex(whole));
      assert.equal(hex(stream().xor(whole)), hex(input));
      return whole;
    },
  });
});

function decodeOrSkip(bytes: Uint8Array): DhtMessage | undefined {
  try {
    return decodeDhtMessage(bytes);
  } catch (error) {
    if (error instanceof FrameError) return undefined;
    throw error;
  }
}

function contentOf({ multiaddrs, sequence, label, provided, withdrawn }: Announcement): string {
  return textOf({ multiaddrs, sequence, label, provided, withdrawn });
}

/** A text that is the same for equal values: views of bytes, and copies of them, are equal. */
function textOf(value: unknown): string {
  return JSON.stringify(plain(value));
}

function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return hex(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex');
}

function isExact(value: unknown): boolean {
  return typeof value !== 'number' || value < 2 ** 53;
}
