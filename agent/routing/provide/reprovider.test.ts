import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setImmediate } from 'node:timers/promises';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { until } from '../../testing/conformance/router.ts';
import { silent } from '../../testing/test-network.ts';
import { newSwarmKey, type SwarmKey } from '../../membership/swarm-key.ts';
import { ChangingKeys } from '../../testing/changing-keys.ts';
import { K } from '../dht/kademlia.ts';
import { LookupKeys } from '../dht/lookup-keys.ts';
import { dhtPeer } from '../node/membership.ts';
import type { DhtPeer } from '../node/membership.ts';
import { Reprovider } from './reprovider.ts';
import type { ReproviderComponents } from './reprovider.ts';

type Exchange = (
  peer: DhtPeer,
  multihashes: readonly Uint8Array[],
  signal: AbortSignal | undefined,
) => unknown;

/** Never answers, and ends when its signal aborts. */
const noAnswer: Exchange = (_peer, _multihashes, signal) =>
  new Promise((_resolve, reject) => {
    signal?.addEventListener('abort', () => {
      reject(signal.reason as Error);
    });
  });

let members: DhtPeer[] = [];
let changed: () => void = () => undefined;
let returned: (peer: DhtPeer) => void = () => undefined;
let onProvide: Exchange = () => undefined;
let onWithdraw: Exchange = () => undefined;
let reprovider: Reprovider;

/** How large the network is taken to be. */
const scale = { size: 1, isLarge: false };
/** What is done by regions. */
const announced: string[] = [];
let onAnnounce: () => Promise<void> = () => Promise.resolve();

const [firstKey, nextKey] = [newSwarmKey(), newSwarmKey()];
const swarmKeys = new ChangingKeys([firstKey]);

const components: ReproviderComponents = {
  lookupKeys: new LookupKeys({ swarmKeys, isOpen: false }),
  client: {
    addProviders: async (peer, keys, _ms, signal) => {
      await onProvide(peer, keys, signal);
      return 1;
    },
  },
  withdrawals: {
    send: async (peer, keys, _ms, signal) => {
      await onWithdraw(peer, keys, signal);
      return true;
    },
  },
  membership: {
    members: () => members,
    onChange: (listener) => {
      changed = listener;
    },
    onReturn: (listener) => {
      returned = listener;
    },
    isContact: () => false,
    dropContact: () => undefined,
  },
  scale,
  regions: {
    follow: (size) => announced.push(`follow ${String(size)}`),
    provide: (keys) => {
      announced.push(...keys.map(({ name }) => `provide ${name}`));
      return onAnnounce();
    },
    withdraw: (keys) => {
      announced.push(...keys.map(({ name }) => `withdraw ${name}`));
      return onAnnounce();
    },
    refresh: () => announced.push('refresh'),
    clear: () => announced.push('clear'),
    stop: () => undefined,
  },
  records: { add: () => true, delete: () => undefined },
  logger: silent,
  observer: {},
};

beforeEach(() => {
  members = [];
  swarmKeys.change([firstKey]);
  scale.isLarge = false;
  announced.length = 0;
  onAnnounce = () => Promise.resolve();
  onProvide = onWithdraw = () => undefined;
  reprovider = new Reprovider(components, { ownPeerId: 'me' });
  reprovider.start();
});

afterEach(() => {
  reprovider.stop();
});

async function newPeers(count: number): Promise<DhtPeer[]> {
  const peers: DhtPeer[] = [];
  while (peers.length < count) {
    peers.push(dhtPeer(peerIdFromPrivateKey(await generateKeyPair('Ed25519'))));
  }
  return peers;
}

async function join(count: number): Promise<void> {
  members = [...members, ...(await newPeers(count))];
  changed();
}

describe('Reprovider', () => {
  it('sends all records again to a peer that was away for a moment', async () => {
    await join(2);
    const sent: DhtPeer[] = [];
    onProvide = (peer) => sent.push(peer);
    await reprovider.advertise(['a', 'b']);
    assert.equal(sent.length, 2);
    const [first] = members;
    assert.ok(first);
    returned(first);
    await until(() => sent.length === 3);
    assert.equal(sent[2], first);
  });

  it('delays neither callers nor other peers for a peer that does not answer', async () => {
    await join(3);
    const frozen = members[0];
    const provided = new Set<string>();
    const ended: string[] = [];
    onProvide = (peer, keys, signal) => {
      if (peer !== frozen) return provided.add(peer.text);
      signal?.addEventListener('abort', () => ended.push(peer.text));
      return noAnswer(peer, keys, signal);
    };
    await reprovider.advertise(['one']);
    assert.equal(provided.size, 2);
    await reprovider.advertise(['two']);
    await reprovider.withdraw(['one']);
    const abort = new AbortController();
    const advertised = reprovider.advertise(['three'], abort.signal);
    abort.abort();
    await assert.rejects(advertised, { name: 'AbortError' });
    assert.deepEqual(ended, []);
    reprovider.stop();
    assert.deepEqual(ended, [frozen?.text], 'its exchange ends when the reprovider stops');
  });

  it('ends the exchange with a peer that leaves', async () => {
    await join(1);
    let ended = false;
    onProvide = (peer, keys, signal) => {
      signal?.addEventListener('abort', () => {
        ended = true;
      });
      return noAnswer(peer, keys, signal);
    };
    await reprovider.advertise(['key']);
    members = [];
    changed();
    await until(() => ended);
  });

  it('makes up for a withdrawal that a lost connection stopped when the peer is back', async () => {
    await join(1);
    const all = members;
    await reprovider.advertise(['one', 'two', 'three']);
    let ended = false;
    onWithdraw = (peer, keys, signal) => {
      signal?.addEventListener('abort', () => {
        ended = true;
      });
      return noAnswer(peer, keys, signal);
    };
    await reprovider.withdraw(['one']);
    members = [];
    changed();
    await until(() => ended);
    await reprovider.withdraw(['two']);
    const withdrawn: number[] = [];
    let provided = 0;
    onWithdraw = (_peer, keys) => withdrawn.push(keys.length);
    onProvide = (_peer, keys) => (provided += keys.length);
    members = all;
    changed();
    await until(() => withdrawn.length > 0 && provided > 0);
    assert.deepEqual(withdrawn, [2]);
    assert.equal(provided, 1, 'it may have lost the record that is to stay');
  });

  it('tries a failed withdrawal again', async () => {
    await join(1);
    await reprovider.advertise(['key']);
    let attempts = 0;
    onWithdraw = () => {
      if (++attempts < 4) throw new Error('no connection');
    };
    await reprovider.withdraw(['key']);
    await until(() => attempts === 4);
  });

  it('provides a key again to the closest peers only, however many have joined', async () => {
    const keys = ['one', 'two', 'three', 'four', 'five'];
    let provided = 0;
    onProvide = (_peer, multihashes) => (provided += multihashes.length);
    await join(20);
    await reprovider.advertise(keys);
    assert.equal(provided, 20 * keys.length);
    for (let i = 0; i < 3; i++) {
      const before = provided;
      await join(40);
      await until(() => provided > before);
    }
    provided = 0;
    reprovider.reprovideAll();
    await until(() => provided >= 20 * keys.length);
    assert.equal(provided, 20 * keys.length);
  });

  it('provides a key to others in place of members that came before it and left before the next sweep', async () => {
    const holders = new Map<string, Set<DhtPeer>>();
    onProvide = (peer, multihashes) => {
      for (const multihash of multihashes) {
        const key = Buffer.from(multihash).toString('hex');
        holders.set(key, (holders.get(key) ?? new Set()).add(peer));
      }
    };
    await reprovider.advertise(['first']);
    await join(40);
    await until(() => [...holders.values()].some(({ size }) => size === K));
    const [real, invented] = [members, await newPeers(5)];
    // Both changes come within the time in which they are gathered.
    members = [...real, ...invented];
    await reprovider.advertise(Array.from({ length: 100 }, (_, at) => `key ${String(at)}`));
    assert.ok([...holders.values()].some((peers) => invented.some((peer) => peers.has(peer))));
    members = real;
    changed();
    await until(() => {
      const counts = [...holders.values()].map(
        (peers) => real.filter((it) => peers.has(it)).length,
      );
      return counts.every((count) => count >= K);
    });
  });

  it('withdraws everything on leaving', async () => {
    await join(2);
    await reprovider.advertise(['one', 'two']);
    const withdrawn: number[] = [];
    onWithdraw = (_peer, keys) => withdrawn.push(keys.length);
    await reprovider.leave();
    assert.deepEqual(withdrawn, [2, 2]);
  });

  it('provides nothing before it has joined, and then everything', async (t) => {
    await join(2);
    const joined = Promise.withResolvers<undefined>();
    const late = new Reprovider(components, { ownPeerId: 'me' });
    late.start(joined.promise);
    t.after(() => {
      late.stop();
    });
    let provided = 0;
    onProvide = (_peer, keys) => (provided += keys.length);
    await late.advertise(['one', 'two']);
    assert.deepEqual(
      [late.size, late.has('one'), late.has('three'), provided],
      [2, true, false, 0],
    );
    joined.resolve(undefined);
    await until(() => provided === 4);
  });
});

/** The network is large, or small, from now on. */
function become(isLarge: boolean): void {
  scale.isLarge = isLarge;
  changed();
}

describe('Reprovider in a large network', () => {
  beforeEach(async () => {
    await join(3);
    await reprovider.advertise(['one', 'two']);
    scale.size = 400;
    become(true);
    await until(() => announced.includes('provide two'));
  });

  it('provides all keys by regions, and lets the records with the peers expire', async () => {
    assert.deepEqual(announced, ['follow 400', 'provide one', 'provide two']);
    let provided = 0;
    onProvide = () => (provided += 1);
    reprovider.reprovideAll();
    assert.equal(announced.at(-1), 'refresh');
    await join(1);
    await until(() => announced.filter((what) => what === 'follow 400').length === 2);
    assert.equal(provided, 0);
    assert.equal(announced.filter((what) => what === 'provide one').length, 1);
  });

  it('advertises and withdraws by regions', async () => {
    let provided = 0;
    onProvide = () => (provided += 1);
    announced.length = 0;
    await reprovider.advertise(['three', 'one']);
    await reprovider.withdraw(['three', 'four']);
    assert.deepEqual(announced, ['provide three', 'withdraw three']);
    assert.equal(provided, 0);
  });

  it('withdraws a key also from the peers that were sent it while the network was small', async () => {
    const withdrawn: number[] = [];
    onWithdraw = (_peer, keys) => withdrawn.push(keys.length);
    await reprovider.withdraw(['one']);
    assert.ok(announced.includes('withdraw one'));
    assert.deepEqual(withdrawn, [1, 1, 1]);
  });

  it('provides all keys to the closest peers again when the network is small again', async () => {
    let provided = 0;
    onProvide = (_peer, keys) => (provided += keys.length);
    announced.length = 0;
    become(false);
    await until(() => provided === 6);
    assert.deepEqual(announced, ['clear']);
    await reprovider.advertise(['three']);
    assert.equal(provided, 9);
    become(true);
    await until(() => announced.includes('provide three'));
    assert.deepEqual(announced.slice(1), [
      'follow 400',
      'provide one',
      'provide two',
      'provide three',
    ]);
  });

  it('waits for a region no longer than for a peer, and goes on with it', async () => {
    onAnnounce = () => new Promise(() => undefined);
    await reprovider.advertise(['three']);
    await reprovider.withdraw(['three']);
    const abort = new AbortController();
    const advertised = reprovider.advertise(['four'], abort.signal);
    abort.abort();
    await assert.rejects(advertised, { name: 'AbortError' });
    assert.ok(announced.includes('provide four'));
  });

  it('withdraws everything on leaving, and leaves also when no region answers', async () => {
    announced.length = 0;
    onAnnounce = () => new Promise(() => undefined);
    await reprovider.leave();
    assert.deepEqual(announced, ['withdraw one', 'withdraw two']);
  });

  it('withdraws nothing when another node has its identity', () => {
    announced.length = 0;
    assert.deepEqual(reprovider.abandon(), ['one', 'two']);
    assert.deepEqual(announced, ['clear']);
  });

  it('follows a change of the swarm keys by regions', async () => {
    announced.length = 0;
    swarmKeys.change([nextKey]);
    await until(() => announced.includes('withdraw two'));
    assert.deepEqual(announced, ['provide one', 'provide two', 'withdraw one', 'withdraw two']);
  });
});

describe('Reprovider, when the swarm keys change,', () => {
  it('provides under a new swarm key, and not again what is provided', async () => {
    await join(3);
    await reprovider.advertise(['a', 'b']);
    const provided: string[] = [];
    onProvide = (_peer, keys) => provided.push(...keys.map(hex));
    swarmKeys.change([firstKey, nextKey]);
    await until(() => provided.length === 6);
    assert.deepEqual(new Set(provided), keysUnder([nextKey], ['a', 'b']));
    assert.equal(reprovider.size, 2);
    // Only the order is another one.
    swarmKeys.change([nextKey, firstKey]);
    await reprovider.advertise(['c']);
    await until(() => provided.length >= 12);
    assert.deepEqual(
      new Set(provided.slice(6)),
      keysUnder([firstKey, nextKey], ['c']),
      'nothing but the new name',
    );
  });

  it('withdraws under a swarm key that is gone, once peers have the records under the new one', async () => {
    await join(2);
    await reprovider.advertise(['a']);
    const events: string[] = [];
    const gate = Promise.withResolvers<undefined>();
    onProvide = async (_peer, keys) => {
      await gate.promise;
      events.push(...keys.map((key) => `provide ${hex(key)}`));
    };
    onWithdraw = (_peer, keys) => events.push(...keys.map((key) => `withdraw ${hex(key)}`));
    swarmKeys.change([nextKey]);
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    gate.resolve(undefined);
    const [before = ''] = keysUnder([firstKey], ['a']);
    const [after = ''] = keysUnder([nextKey], ['a']);
    await until(() => events.filter((event) => event === `withdraw ${before}`).length === 2);
    assert.deepEqual(events.slice(0, 2), [`provide ${after}`, `provide ${after}`]);
    // A peer may have refused records beyond its bound for one peer.
    await until(() => events.filter((event) => event === `provide ${after}`).length === 4);
  });

  it('follows no change of the swarm key once it has stopped', async () => {
    await reprovider.advertise(['a']);
    reprovider.stop();
    assert.equal(swarmKeys.listeners, 0);
  });
});

function hex(key: Uint8Array): string {
  return Buffer.from(key).toString('hex');
}

/** The multihashes of the names under each of the swarm keys. */
function keysUnder(keys: readonly SwarmKey[], names: readonly string[]): Set<string> {
  const lookupKeys = new LookupKeys({ swarmKeys: { keys }, isOpen: false });
  return new Set(names.flatMap((name) => lookupKeys.of(name).map((key) => hex(key.multihash))));
}
