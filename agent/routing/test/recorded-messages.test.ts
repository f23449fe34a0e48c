import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { peerIdFromMultihash, peerIdFromString } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';
import { decode as decodeMultihash } from 'multiformats/hashes/digest';

import {
  decodeDhtMessage,
  encodeAddProvider,
  encodeAnswer,
  encodeGetProviders,
  encodePeer,
  encodePing,
  encodeProvider,
  MESSAGE_TYPE,
} from '../dht/dht-messages.ts';
import type { WirePeer } from '../dht/dht-messages.ts';
import { routingKey } from '../dht/key.ts';

interface RecordedPeer {
  readonly id: string;
  readonly multiaddrs: readonly string[];
  readonly connection?: number;
}

interface RecordedMessage {
  readonly from: string;
  readonly what: string;
  readonly type: number;
  readonly name?: string;
  readonly key?: string;
  readonly clusterLevelRaw?: number;
  readonly closer?: readonly RecordedPeer[];
  readonly providers?: readonly RecordedPeer[];
  readonly hex: string;
}

const { messages } = JSON.parse(
  readFileSync(new URL('../../testing/testdata/recorded-messages.json', import.meta.url), 'utf8'),
) as { messages: readonly RecordedMessage[] };

describe('messages recorded from Spegel and kad-dht', () => {
  for (const message of messages) {
    it(`are decoded: ${message.from}, ${message.what}`, () => {
      assert.deepEqual(readable(bytesOf(message)), expectedOf(message));
    });
  }

  it('are equal to our requests except for the cluster level, which Go appends', () => {
    const checked = { addProvider: 0, getProviders: 0, ping: 0 };
    for (const message of messages) {
      const ours = encodeAsRequest(message);
      if (ours === undefined) continue;
      checked[ours.kind]++;
      const level = message.clusterLevelRaw === undefined ? '' : '5001';
      assert.equal(hexOf(ours.bytes) + level, message.hex, message.what);
    }
    assert.deepEqual(checked, { addProvider: 3, getProviders: 3, ping: 3 });
  });

  // Our answers leave the connection type and the cluster level out: Go reads neither. kad-dht writes the level
  // before the key, so the order of the fields differs among implementations.
  it('have the same content as our answers', () => {
    const answers = messages.filter(({ what }) =>
      /^answer to (GET_PROVIDERS|FIND_NODE)/.test(what),
    );
    assert.equal(answers.length, 6);
    for (const message of answers) {
      const { type, closer, providers } = decodeDhtMessage(bytesOf(message));
      const ours = encodeAnswer({
        type,
        key: keyOf(message),
        closer: closer.map(encodePeer),
        providers: providers.map(encodePeer),
      });
      assert.deepEqual(readable(ours), expectedOf(message));
      if (message.clusterLevelRaw === 1 && closer.length + providers.length === 0) {
        assert.equal(`${hexOf(ours)}5001`, message.hex);
      }
    }
  });
});

function encodeAsRequest(
  message: RecordedMessage,
): { kind: 'addProvider' | 'getProviders' | 'ping'; bytes: Uint8Array } | undefined {
  const [provider] = message.providers ?? [];
  switch (message.type) {
    case MESSAGE_TYPE.addProvider: {
      assert.ok(provider);
      const bytes = encodeAddProvider(keyOf(message), encodeProvider(wireOf(provider)));
      return { kind: 'addProvider', bytes };
    }
    case MESSAGE_TYPE.getProviders:
      if (message.what.startsWith('answer')) return undefined;
      return { kind: 'getProviders', bytes: encodeGetProviders(keyOf(message)) };
    case MESSAGE_TYPE.ping:
      return { kind: 'ping', bytes: encodePing() };
    default:
      return undefined;
  }
}

function bytesOf({ hex }: RecordedMessage): Uint8Array {
  return Buffer.from(hex, 'hex');
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function keyOf({ name, key = '' }: RecordedMessage): Uint8Array {
  return name === undefined ? Buffer.from(key, 'hex') : routingKey(name).multihash;
}

function wireOf({ id, multiaddrs }: RecordedPeer): WirePeer {
  return {
    id: peerIdFromString(id).toMultihash().bytes,
    multiaddrs: multiaddrs.map((address) => multiaddr(address).bytes),
  };
}

function readable(bytes: Uint8Array): unknown {
  const { type, key, closer, providers } = decodeDhtMessage(bytes);
  return {
    type,
    key: hexOf(key),
    closer: closer.map(readablePeer),
    providers: providers.map(readablePeer),
  };
}

function readablePeer({ id, multiaddrs }: WirePeer): unknown {
  return {
    id: peerIdFromMultihash(decodeMultihash(id)).toString(),
    multiaddrs: multiaddrs.map((bytes) => multiaddr(bytes).toString()),
  };
}

function expectedOf(message: RecordedMessage): unknown {
  const peer = ({ id, multiaddrs }: RecordedPeer): unknown => ({ id, multiaddrs });
  return {
    type: message.type,
    key: hexOf(keyOf(message)),
    closer: (message.closer ?? []).map(peer),
    providers: (message.providers ?? []).map(peer),
  };
}
