import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

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
  const dropped: string[] = [];
  const observed = { provided: 0, failed: 0, withdrawn: 0 };
  const exchange = (peer: DhtPeer, records: number): Promise<number> => {
    if (failing.has(peer)) return Promise.reject(new Error('no connection'));
    has[peer.text] = (has[peer.text] ?? 0) + records;
    return Promise.resolve(1);
  };
  const queues = new ProvideQueues(
    {
      client: { addProviders: (peer, keys) => exchange(peer, keys.length) },
      withdrawals: {
        send: async (peer, keys) => (await exchange(peer, -keys.length)) === 1,
      },
      membership: { dropContact: (peerId) => dropped.push(peerId) },
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
  return { a, b, has, failing, dropped, observed, queues };
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

  it('reports a peer that does not take records, and drops it when it is a contact', async (t) => {
    const { a, failing, dropped, observed, queues } = await start(t);
    failing.add(a);
    for (const queue of queues.assign(one, [a])) await queue.run();
    assert.deepEqual(observed, { provided: 0, failed: 1, withdrawn: 0 });
    assert.deepEqual(dropped, [a.text]);
  });
});
