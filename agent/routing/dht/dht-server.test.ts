import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Stream } from '@libp2p/interface';
import { peerIdFromPrivateKey, peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import fc from 'fast-check';

import { found, until } from '../../testing/conformance/router.ts';
import {
  decodeDhtMessage,
  encodeAddProvider,
  encodeAnswer,
  encodeGetProviders,
  encodePeer,
  encodePing,
  encodeProvider,
  MESSAGE_TYPE,
} from './dht-messages.ts';
import { FrameReader } from './frame-reader.ts';
import { frame } from './frames.ts';
import { distanceTo } from './kademlia.ts';
import { routingKey } from './key.ts';
import { createNode, DHT_PROTOCOL } from '../node/libp2p-node.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { dhtPeer } from '../node/membership.ts';
import type { Libp2pRouter } from '../libp2p-router.ts';
import { TestNetwork } from '../../testing/test-network.ts';

const ADDRESS = multiaddr('/ip4/127.0.0.98/tcp/5001').bytes;

let network: TestNetwork;
let router: Libp2pRouter;
let peer: RoutingNode;
let refusals: Map<string, number>;
/** How the peer handles inbound streams. */
let serve: (stream: Stream) => unknown;

beforeEach(async () => {
  network = new TestNetwork();
  refusals = new Map();
  serve = () => undefined;
  const observer = {
    onRefusal: (reason: string) => refusals.set(reason, (refusals.get(reason) ?? 0) + 1),
  };
  router = await network.start([], { observer });
  const made = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    serveDht: (stream) => {
      serve(stream);
    },
    listen: ['/ip4/127.0.0.98/tcp/0'],
  });
  await made.start();
  peer = made.node;
  await peer.dial(router.listening[0] ?? []);
  await until(() => router.status().peers === 1);
});

afterEach(async () => {
  await peer.stop();
  await network.stop();
});

const open = () => peer.dialProtocol(peer.getPeers()[0] ?? [], DHT_PROTOCOL);

/** Sends the messages on one stream and reads the answers. */
async function ask(messages: readonly Uint8Array[], answers: number): Promise<Uint8Array[]> {
  const stream = await open();
  using reader = new FrameReader(stream, 1 << 20);
  stream.send(Buffer.concat(messages.map(frame)));
  const read: Uint8Array[] = [];
  while (read.length < answers) {
    const answer = await reader.next();
    assert.ok(answer, 'the stream ended');
    read.push(answer);
  }
  return read;
}

const providerOf = (node: RoutingNode, addresses = [ADDRESS]) =>
  encodeProvider({ id: node.peerId.toMultihash().bytes, multiaddrs: addresses });

const add = (name: string, provider = providerOf(peer)) =>
  encodeAddProvider(routingKey(name).multihash, provider);

describe('DhtServer', () => {
  it('answers the requests of one stream in order', async () => {
    const { multihash } = routingKey('key');
    const [pong, answer, closer] = await ask(
      [
        add('key'),
        encodePing(),
        encodeGetProviders(multihash),
        encodeAnswer({
          type: MESSAGE_TYPE.findNode,
          key: peer.peerId.toMultihash().bytes,
          closer: [],
          providers: [],
        }),
      ],
      3,
    );
    assert.ok(pong && answer && closer);
    assert.equal(decodeDhtMessage(pong).type, MESSAGE_TYPE.ping);
    const { type, key, providers } = decodeDhtMessage(answer);
    assert.equal(type, MESSAGE_TYPE.getProviders);
    assert.deepEqual(Buffer.from(key), Buffer.from(multihash));
    assert.deepEqual(
      providers.map(({ id, multiaddrs }) => [
        Buffer.from(id),
        multiaddrs.map((it) => Buffer.from(it)),
      ]),
      [[Buffer.from(peer.peerId.toMultihash().bytes), [Buffer.from(ADDRESS)]]],
    );
    assert.equal(decodeDhtMessage(closer).type, MESSAGE_TYPE.findNode);
  });

  it('names closer peers unless the request leaves them out', async () => {
    const other = await network.start([router]);
    const { multihash } = routingKey('no provider');
    const closer = async (question: Uint8Array): Promise<number> => {
      const [answer] = await ask([question], 1);
      assert.ok(answer);
      return decodeDhtMessage(answer).closer.length;
    };
    await until(async () => (await closer(encodeGetProviders(multihash))) === 1);
    assert.equal(await closer(encodeGetProviders(multihash, 0)), 0);
    const { target } = routingKey('no provider');
    const distance = distanceTo(target, dhtPeer(peerIdFromString(other.peerId)));
    assert.equal(await closer(encodeGetProviders(multihash, distance)), 0);
    assert.equal(await closer(encodeGetProviders(multihash, distance + 1)), 1);
  });

  it('says whether it has its records to those only that ask in our way', async () => {
    const { multihash } = routingKey('key');
    const [usual, brief, nearer] = await ask(
      [
        encodeGetProviders(multihash),
        encodeGetProviders(multihash, 0),
        encodeGetProviders(multihash, 2 ** 32 - 1),
      ],
      3,
    );
    assert.ok(usual && brief && nearer);
    assert.equal(decodeDhtMessage(usual).established, undefined);
    for (const answer of [brief, nearer]) {
      assert.equal(decodeDhtMessage(answer).established, false, 'it has just started');
    }
  });

  it('refuses a record of another peer, and a record of a key of another form', async () => {
    const other = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
    const foreign = encodeProvider({ id: other.toMultihash().bytes, multiaddrs: [ADDRESS] });
    const noKey = encodeAddProvider(Uint8Array.of(0x12, 3, 1, 2, 3), providerOf(peer));
    await ask([add('theirs', foreign), noKey, add('ours'), encodePing()], 1);
    assert.deepEqual(await found(router, 'theirs'), []);
    assert.equal((await found(router, 'ours')).length, 1);
    assert.equal(router.status().records, 1);
    assert.deepEqual(Object.fromEntries(refusals), { 'foreign-provider': 1, 'foreign-key': 1 });
  });

  it('ends the stream of a malformed message, and nothing else', async () => {
    const bad: Uint8Array[] = [
      frame(Uint8Array.of(0xff, 0xff)),
      Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff),
      // The length prefix announces 8 MiB.
      Uint8Array.of(0x80, 0x80, 0x80, 0x04),
      frame(Uint8Array.of(8, 3)),
      frame(Uint8Array.of(8, 0, 18, 1, 1)),
      frame(Uint8Array.of(8, 99, 18, 1, 1)),
      frame(encodeGetProviders(new Uint8Array(81))),
    ];
    for (const bytes of bad) {
      const stream = await open();
      stream.send(bytes);
      await until(() => stream.status !== 'open');
    }
    assert.equal(refusals.get('malformed'), bad.length);
    await ask([add('key'), encodePing()], 1);
    assert.equal((await found(router, 'key')).length, 1);
  });

  it('survives any bytes that a peer sends', async () => {
    const message = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => frame(bytes)),
      fc
        .record({
          type: fc.integer({ min: 0, max: 127 }),
          key: fc.uint8Array({ maxLength: 90 }),
          peers: fc.array(
            fc.record({
              id: fc.uint8Array({ maxLength: 50 }),
              multiaddrs: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }),
            }),
            { maxLength: 4 },
          ),
        })
        .map(({ type, key, peers }) => {
          const wire = peers.map(encodePeer);
          return frame(encodeAnswer({ type, key, closer: wire, providers: wire }));
        }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 5 }), async (messages) => {
        const stream = await open();
        stream.send(Buffer.concat(messages));
        await stream.close().catch(() => undefined);
      }),
      { numRuns: 60 },
    );
    await ask([add('key'), encodePing()], 1);
    assert.equal((await found(router, 'key')).length, 1);
  });

  it('bounds the records of a peer that floods it, and serves the others meanwhile', async () => {
    const provider = providerOf(peer);
    const stream = await open();
    const flood = (async () => {
      for (let sent = 0; sent < 30_000; sent += 500) {
        const keys = Array.from({ length: 500 }, (_, i) => `flood ${String(sent + i)}`);
        const more = stream.send(Buffer.concat(keys.map((key) => frame(add(key, provider)))));
        if (!more) await stream.onDrain();
      }
    })();
    const honest = await network.start([router]);
    await honest.advertise(['key']);
    await until(async () => (await found(router, 'key')).length === 1);
    await flood;
    await until(() => (refusals.get('no-room') ?? 0) >= 20_000);
    await until(() => router.status().records === 10_001);
  });
});

describe('DhtClient, asking a hostile peer', () => {
  it('reads a bounded part of an answer with too many providers and addresses', async () => {
    const wires = await Promise.all(
      Array.from({ length: 300 }, async () => {
        const id = peerIdFromPrivateKey(await generateKeyPair('Ed25519')).toMultihash().bytes;
        const multiaddrs = Array.from(
          { length: 20 },
          (_, i) =>
            multiaddr(i % 2 === 0 ? '/ip4/0.0.0.0/tcp/1' : `/ip4/10.9.8.${String(i)}/tcp/5001`)
              .bytes,
        );
        return encodePeer({ id, multiaddrs });
      }),
    );
    serve = (stream: Stream) => {
      stream.addEventListener('message', () => {
        const { multihash } = routingKey('key');
        const type = MESSAGE_TYPE.getProviders;
        if (stream.writeStatus !== 'writable') return;
        stream.send(frame(encodeAnswer({ type, key: multihash, closer: wires, providers: wires })));
      });
    };
    const providers = await found(router, 'key');
    assert.ok(providers.length > 0 && providers.length <= 128, String(providers.length));
    assert.ok(providers.every(({ origins }) => origins.length <= 4));
    assert.ok(providers.every(({ origins }) => origins.every((it) => !it.includes('0.0.0.0'))));
  });

  it('gives up an answer that does not end', async () => {
    serve = (stream: Stream) => {
      stream.addEventListener('message', () => {
        // The length prefix announces 900 KB, which then come very slowly.
        if (stream.writeStatus !== 'writable') return;
        stream.send(Uint8Array.of(0xa0, 0xf7, 0x36));
        const drip = setInterval(() => {
          if (stream.writeStatus === 'writable') stream.send(new Uint8Array(100));
          else clearInterval(drip);
        }, 20);
      });
    };
    assert.deepEqual(await found(router, 'key'), []);
  });
});
