import assert from 'node:assert/strict';
import { afterEach, beforeEach, test } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { until } from '../../testing/conformance/router.ts';
import { dhtPeer } from '../node/membership.ts';
import type { DhtPeer } from '../node/membership.ts';
import { Reprovider } from './reprovider.ts';
import type { ReproviderComponents } from './reprovider.ts';
import { silent } from '../../testing/test-network.ts';

type Exchange = (peer: DhtPeer, multihashes: readonly Uint8Array[], signal: AbortSignal) => unknown;

/** Never answers, and ends when it is told to. */
const silence: Exchange = (_peer, _multihashes, signal) =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => {
      reject(signal.reason as Error);
    });
  });

let members: DhtPeer[] = [];
let changed: () => void = () => undefined;
let onPlace: Exchange = () => undefined;
let onWithdraw: Exchange = () => undefined;
let placement: Reprovider;

beforeEach(() => {
  members = [];
  onPlace = onWithdraw = () => undefined;
  const components = {
    client: {
      addProviders: async (
        peer: DhtPeer,
        keys: readonly Uint8Array[],
        _ms: number,
        signal: AbortSignal,
      ) => {
        await onPlace(peer, keys, signal);
      },
    },
    withdrawals: {
      send: async (
        peer: DhtPeer,
        keys: readonly Uint8Array[],
        _ms: number,
        signal: AbortSignal,
      ) => {
        await onWithdraw(peer, keys, signal);
        return true;
      },
    },
    membership: {
      members: () => members,
      onChange: (listener: () => void) => {
        changed = listener;
      },
    },
    records: { add: () => true, delete: () => undefined },
    logger: silent,
    observer: {},
  };
  placement = new Reprovider(components as unknown as ReproviderComponents, { ownPeerId: 'me' });
  placement.start();
});

afterEach(() => {
  placement.stop();
});

async function join(count: number): Promise<void> {
  const joined: DhtPeer[] = [];
  while (joined.length < count) {
    joined.push(dhtPeer(peerIdFromPrivateKey(await generateKeyPair('Ed25519'))));
  }
  members = [...members, ...joined];
  changed();
}

test('a peer that says nothing holds up neither calls nor the other peers', async () => {
  await join(3);
  const frozen = members[0];
  const placed = new Set<string>();
  const ended: string[] = [];
  onPlace = (peer, keys, signal) => {
    if (peer !== frozen) return placed.add(peer.text);
    signal.addEventListener('abort', () => ended.push(peer.text));
    return silence(peer, keys, signal);
  };
  await placement.advertise(['one']);
  assert.equal(placed.size, 2);
  await placement.advertise(['two']);
  await placement.withdraw(['one']);
  const abort = new AbortController();
  const advertised = placement.advertise(['three'], abort.signal);
  abort.abort();
  await assert.rejects(advertised, { name: 'AbortError' });
  assert.deepEqual(ended, []);
  placement.stop();
  assert.deepEqual(ended, [frozen?.text], 'its exchange ends with the placement');
});

test('an exchange ends when its peer has left', async () => {
  await join(1);
  let ended = false;
  onPlace = (peer, keys, signal) => {
    signal.addEventListener('abort', () => {
      ended = true;
    });
    return silence(peer, keys, signal);
  };
  await placement.advertise(['key']);
  members = [];
  changed();
  await until(() => ended);
});

test('a withdrawal that a lost connection stopped is made up for when the peer is back', async () => {
  await join(1);
  const all = members;
  await placement.advertise(['one', 'two', 'three']);
  let ended = false;
  onWithdraw = (peer, keys, signal) => {
    signal.addEventListener('abort', () => {
      ended = true;
    });
    return silence(peer, keys, signal);
  };
  await placement.withdraw(['one']);
  members = [];
  changed();
  await until(() => ended);
  await placement.withdraw(['two']);
  const withdrawn: number[] = [];
  let placed = 0;
  onWithdraw = (_peer, keys) => withdrawn.push(keys.length);
  onPlace = (_peer, keys) => (placed += keys.length);
  members = all;
  changed();
  await until(() => withdrawn.length > 0 && placed > 0);
  assert.deepEqual(withdrawn, [2]);
  assert.equal(placed, 1, 'it may have lost the record that is to stay');
});

test('a withdrawal that fails is tried again', async () => {
  await join(1);
  await placement.advertise(['key']);
  let attempts = 0;
  onWithdraw = () => {
    if (++attempts < 4) throw new Error('no connection');
  };
  await placement.withdraw(['key']);
  await until(() => attempts === 4);
});

test('only the peers closest to a key get it anew, however many have come', async () => {
  const keys = ['one', 'two', 'three', 'four', 'five'];
  let placed = 0;
  onPlace = (_peer, multihashes) => (placed += multihashes.length);
  await join(20);
  await placement.advertise(keys);
  assert.equal(placed, 20 * keys.length);
  for (let i = 0; i < 3; i++) {
    const before = placed;
    await join(40);
    await until(() => placed > before);
  }
  placed = 0;
  placement.reprovideAll();
  await until(() => placed >= 20 * keys.length);
  assert.equal(placed, 20 * keys.length);
});

test('everything is taken back on leaving', async () => {
  await join(2);
  await placement.advertise(['one', 'two']);
  const withdrawn: number[] = [];
  onWithdraw = (_peer, keys) => withdrawn.push(keys.length);
  await placement.leave();
  assert.deepEqual(withdrawn, [2, 2]);
});
