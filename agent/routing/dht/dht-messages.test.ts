import assert from 'node:assert/strict';
import { test } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import fc from 'fast-check';

import {
  Message,
  MessageType,
} from '../../../node_modules/@libp2p/kad-dht/dist/src/message/dht.js';
import {
  decodeDhtMessage,
  encodeAddProvider,
  encodeGetProviders,
  encodePing,
  encodeProvider,
  keyOfRepeat,
  MAX_PEERS_PER_LIST,
} from './dht-messages.ts';
import { frame, FrameDecoder, FrameError } from './frames.ts';
import { routingKey } from './key.ts';

const { multihash } = routingKey('docker.io/library/alpine:3.20');
const provider = {
  id: peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toMultihash().bytes,
  multiaddrs: [
    multiaddr('/ip4/10.0.0.7/tcp/5001').bytes,
    multiaddr('/ip4/10.0.0.7/tcp/5000/http').bytes,
    multiaddr('/ip6/fd00::7/tcp/5001').bytes,
  ],
};

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

test('ADD_PROVIDER, GET_PROVIDERS and PING are byte for byte what kad-dht writes', () => {
  const common = { closer: [], providers: [] };
  assert.equal(
    hex(encodeAddProvider(multihash, encodeProvider(provider))),
    hex(
      Message.encode({
        type: MessageType.ADD_PROVIDER,
        key: multihash,
        closer: [],
        providers: [{ id: provider.id, multiaddrs: [...provider.multiaddrs] }],
      }),
    ),
  );
  assert.equal(
    hex(encodeGetProviders(multihash)),
    hex(Message.encode({ ...common, type: MessageType.GET_PROVIDERS, key: multihash })),
  );
  assert.equal(hex(encodePing()), hex(Message.encode({ ...common, type: MessageType.PING })));
});

test('kad-dht reads our ADD_PROVIDER as it was meant', () => {
  const read = Message.decode(encodeAddProvider(multihash, encodeProvider(provider)));
  assert.equal(read.type, MessageType.ADD_PROVIDER);
  assert.deepEqual(Buffer.from(read.key ?? []), Buffer.from(multihash));
  assert.deepEqual(
    read.providers[0]?.multiaddrs.map((bytes) => multiaddr(bytes).toString()),
    ['/ip4/10.0.0.7/tcp/5001', '/ip4/10.0.0.7/tcp/5000/http', '/ip6/fd00::7/tcp/5001'],
  );
});

test('an answer of kad-dht is read as it was meant, and long lists are cut', () => {
  const bytes = Message.encode({
    type: MessageType.GET_PROVIDERS,
    clusterLevel: 3,
    key: multihash,
    closer: Array.from({ length: 1000 }, () => ({ id: provider.id, multiaddrs: [] })),
    providers: [{ id: provider.id, multiaddrs: [...provider.multiaddrs] }],
  });
  const message = decodeDhtMessage(bytes);
  assert.equal(message.type, 3);
  assert.equal(message.closer.length, MAX_PEERS_PER_LIST);
  assert.deepEqual(
    message.providers.map(({ id, multiaddrs }) => [
      Buffer.from(id),
      multiaddrs.map((address) => Buffer.from(address)),
    ]),
    [[Buffer.from(provider.id), provider.multiaddrs.map((address) => Buffer.from(address))]],
  );
});

test('whatever bytes come, a message is read or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decodeDhtMessage(bytes);
      } catch (error) {
        assert.ok(error instanceof FrameError);
      }
    }),
  );
});

test('frames come out as they went in, however the bytes are cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
      fc.integer({ min: 1, max: 64 }),
      (messages, size) => {
        const bytes = Buffer.concat(messages.map(frame));
        const decoder = new FrameDecoder(300);
        const out: Uint8Array[] = [];
        for (let at = 0; at < bytes.length; at += size) {
          out.push(...decoder.push(bytes.subarray(at, at + size)));
        }
        assert.deepEqual(
          out.map((message) => Buffer.from(message)),
          messages.map((message) => Buffer.from(message)),
        );
      },
    ),
  );
});

test('a frame above the limit is refused by its length alone', () => {
  const decoder = new FrameDecoder(1000);
  assert.throws(() => decoder.push(Uint8Array.of(0xe9, 0x07)), FrameError);
  assert.throws(
    () => new FrameDecoder(1000).push(Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x80)),
    FrameError,
  );
});

test('a question for providers only is the usual one with a field that others skip', () => {
  const usual = encodeGetProviders(multihash);
  const brief = encodeGetProviders(multihash, true);
  assert.equal(hex(brief), `${hex(usual)}c03e01`);
  assert.equal(decodeDhtMessage(usual).providersOnly, false);
  assert.deepEqual(decodeDhtMessage(brief), { ...decodeDhtMessage(usual), providersOnly: true });
});

test('a message that differs from the one before in the key only is told by its bytes', () => {
  const other = routingKey('another').multihash;
  const own = encodeProvider(provider);
  const first = encodeAddProvider(multihash, own);
  assert.deepEqual(keyOfRepeat(encodeAddProvider(other, own), first), Buffer.from(other));
  const foreign = encodeProvider({ ...provider, id: provider.id.map((byte) => byte ^ 1) });
  const different = [
    encodeAddProvider(other, foreign),
    encodeAddProvider(other.subarray(1), own),
    encodeGetProviders(other),
    encodePing(),
    first.subarray(0, 20),
  ];
  for (const message of different) assert.equal(keyOfRepeat(message, first), undefined);
});
