import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

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
  encodeAnswer,
  encodeFindNode,
  encodeGetProviders,
  encodePing,
  encodeProvider,
  keyOfRepeat,
  MAX_PEERS_PER_LIST,
  MESSAGE_TYPE,
} from './dht-messages.ts';
import { FrameError } from './frames.ts';
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

describe('the DHT message codec', () => {
  it('encodes ADD_PROVIDER, GET_PROVIDERS and PING byte for byte as kad-dht does', () => {
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

  it('encodes an ADD_PROVIDER that kad-dht decodes', () => {
    const read = Message.decode(encodeAddProvider(multihash, encodeProvider(provider)));
    assert.equal(read.type, MessageType.ADD_PROVIDER);
    assert.deepEqual(Buffer.from(read.key ?? []), Buffer.from(multihash));
    assert.deepEqual(
      read.providers[0]?.multiaddrs.map((bytes) => multiaddr(bytes).toString()),
      ['/ip4/10.0.0.7/tcp/5001', '/ip4/10.0.0.7/tcp/5000/http', '/ip6/fd00::7/tcp/5001'],
    );
  });

  it('decodes an answer of kad-dht, and cuts long lists', () => {
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

  it('decodes any bytes or fails with a FrameError', () => {
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

  it('adds unknown fields, which others skip, to a request that leaves closer peers out', () => {
    const usual = encodeGetProviders(multihash);
    const brief = encodeGetProviders(multihash, 0);
    assert.equal(hex(brief), `${hex(usual)}c03e01`);
    assert.equal(decodeDhtMessage(usual).providersOnly, false);
    assert.deepEqual(decodeDhtMessage(brief), { ...decodeDhtMessage(usual), providersOnly: true });
    const closerOnly = encodeGetProviders(multihash, 2 ** 32 - 1);
    assert.equal(hex(closerOnly), `${hex(brief)}c83effffffff0f`);
    assert.equal(decodeDhtMessage(closerOnly).closerThan, 2 ** 32 - 1);
  });

  it('says in an unknown field whether the node has its records, or does not say', () => {
    const parts = { type: MESSAGE_TYPE.getProviders, key: multihash, closer: [], providers: [] };
    const usual = encodeAnswer(parts);
    for (const established of [true, false]) {
      const answer = encodeAnswer({ ...parts, established });
      assert.equal(hex(answer), `${hex(usual)}d03e0${established ? '1' : '2'}`);
      assert.equal(decodeDhtMessage(answer).established, established);
      assert.deepEqual(Buffer.from(Message.decode(answer).key ?? []), Buffer.from(multihash));
    }
    assert.equal(decodeDhtMessage(usual).established, undefined);
  });

  it('writes FIND_NODE, whose key may be any bytes', () => {
    const { type, key } = decodeDhtMessage(encodeFindNode(Uint8Array.of(1, 2)));
    assert.deepEqual([type, Buffer.from(key)], [MESSAGE_TYPE.findNode, Buffer.from([1, 2])]);
  });

  it('recognises an ADD_PROVIDER that differs from the previous one in the key only', () => {
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
});
