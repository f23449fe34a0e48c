import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { silent } from '../../testing/test-network.ts';
import { routingKey } from '../dht/key.ts';
import { dhtPeer } from '../node/membership.ts';
import type { DhtPeer } from '../node/membership.ts';
import { ProvideQueues } from './provide-queues.ts';

const newPeer = async (): Promise<DhtPeer> =>
  dhtPeer(peerIdFromPrivateKey(await generateKeyPair('Ed25519')));

/** Queues for two peers, and the records that these have got. */
async function start(t: TestContext) {
  const [a, b] = [await newPeer(), await newPeer()];
  const has = { [a.text]: 0, [b.text]: 0 };
  const failing = new Set<DhtPeer>();
  const hanging = new Set<DhtPeer>();
  const contacts = new Set<string>();
  const dropped: string[] = [];
  const observed = { provided: 0, failed: 0, withdrawn: 0 };
  const exchange = (peer: DhtPeer, records: number): Promise<number> => {
    if (failing.has(peer)) return Promise.reject(new Error('no connection'));
    if (hanging.has(peer)) return new Promise(() => undefined);
    has[peer.text] = (has[peer.text] ?? 0) + records;
    return Promise.resolve(1);
  };
  const queues = new ProvideQueues(
    {
      client: { addProviders: (peer, keys) => exchange(peer, keys.length) },
      withdrawals: {
        send: async (peer, keys) => (await exchange(peer, -keys.length)) === 1,
      },
      membership: {
        isContact: (peerId) => contacts.has(peerId),
        dropContact: (peerId) => dropped.push(peerId),
      },
      logger: silent,
      observer: {
        onProvide: (records) => (observed.provided += records),
        onProvideFailure: () => observed.failed++,
        onWithdrawal: (records) => (observed.withdrawn += records),
      },
    },
    60_000,
  );
  t.after(() => {
    queues.stop();
  });
  return { a, b, has, failing, hanging, contacts, dropped, observed, queues };
}

const [one, two] = ['one', 'two'].map(routingKey);
assert.ok(one && two);

describe('ProvideQueues', () => {
  it('sends a key to the assigned peers, and withdraws it from them', async (t) => {
    const { a, b, has, observed, queues } = await start(t);
    for (const queue of queues.assign(one, [a, b])) await queue.run();
    assert.deepEqual(has, { [a.text]: 1, [b.text]: 1 });
    for (const queue of queues.retract(one)) await queue.run();
    assert.deepEqual(has, { [a.text]: 0, [b.text]: 0 });
    assert.deepEqual(queues.retract(one), []);
    assert.deepEqual(observed, { provided: 2, failed: 0, withdrawn: 2 });
  });

  it('does not send a key again to a peer that is no longer assigned, but withdraws it', async (t) => {
    const { a, b, has, queues } = await start(t);
    for (const queue of queues.assign(one, [a])) await queue.run();
    for (const queue of queues.assign(one, [b])) await queue.run();
    queues.refresh(() => true);
    await turn();
    assert.deepEqual(has, { [a.text]: 1, [b.text]: 2 });
    for (const queue of queues.assign(two, [b])) await queue.run();
    for (const queue of queues.assign(two, [a])) await queue.run();
    assert.equal(queues.retract(two).length, 2);
  });

  it('catches up with a peer that comes back', async (t) => {
    const { a, b, has, queues } = await start(t);
    for (const queue of queues.assign(one, [a, b])) await queue.run();
    for (const queue of queues.assign(two, [a, b])) await queue.run();
    queues.follow([b]);
    for (const queue of queues.retract(one)) await queue.run();
    assert.deepEqual(has, { [a.text]: 2, [b.text]: 1 });
    queues.follow([a, b]);
    await turn();
    assert.deepEqual(has, { [a.text]: 2, [b.text]: 1 }, 'one withdrawn, the other sent again');
  });

  it('sends records to the addresses of a peer that are known now', async (t) => {
    const { a, b, has, failing, queues } = await start(t);
    const wrong = { ...a, multiaddrs: [multiaddr('/ip4/10.6.6.6/tcp/1')] };
    failing.add(wrong);
    for (const queue of queues.assign(one, [wrong])) await queue.run();
    queues.follow([]);
    queues.follow([a]);
    await turn();
    assert.equal(has[a.text], 1, 'it is a member again');
    for (const queue of queues.assign(two, [{ ...b, multiaddrs: [] }])) await queue.run();
    failing.add(b);
    const moved = { ...b, multiaddrs: [multiaddr('/ip4/10.0.0.9/tcp/5001')] };
    queues.assign(one, [b]);
    for (const queue of queues.assign(one, [moved])) await queue.run();
    assert.equal(has[b.text], 2, 'it never left');
  });

  it('does not let contacts that do not answer delay the records of connected peers', async (t) => {
    const { a, has, contacts, hanging, queues } = await start(t);
    const silentOnes = await Promise.all(Array.from({ length: 20 }, newPeer));
    for (const peer of silentOnes) {
      contacts.add(peer.text);
      hanging.add(peer);
    }
    for (const queue of queues.assign(one, silentOnes)) void queue.run();
    for (const queue of queues.assign(two, [a])) void queue.run();
    await turn();
    assert.equal(has[a.text], 1);
  });

  it('reports a peer that does not take records, and drops it when it is a contact', async (t) => {
    const { a, failing, dropped, observed, queues } = await start(t);
    failing.add(a);
    for (const queue of queues.assign(one, [a])) await queue.run();
    assert.deepEqual(observed, { provided: 0, failed: 1, withdrawn: 0 });
    assert.deepEqual(dropped, [a.text]);
  });
});
