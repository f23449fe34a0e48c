import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { newSwarmKey, type SwarmKey } from '../../membership/swarm-key.ts';
import { ChangingKeys } from '../../testing/changing-keys.ts';
import { found, until } from '../../testing/conformance/router.ts';
import { TestNetwork } from '../../testing/test-network.ts';
import type { Libp2pRouter } from '../libp2p-router.ts';
import { createNode } from '../node/libp2p-node.ts';

const TAG = 'registry.example/team/secret:1.0';
const DIGEST = `sha256:${'7'.repeat(64)}`;

let network = new TestNetwork();

beforeEach(() => {
  network = new TestNetwork();
});

afterEach(() => network.stop());

/** Starts a router with these swarm keys. */
async function start(
  keys: readonly SwarmKey[],
  peers: readonly Libp2pRouter[] = [],
  isOpen = false,
): Promise<{ readonly router: Libp2pRouter; readonly keys: ChangingKeys }> {
  const swarmKeys = new ChangingKeys(keys);
  const swarm = { swarmKeys, isOpen, onStranger: () => undefined };
  return { router: await network.start(peers, {}, { swarm }), keys: swarmKeys };
}

/** Starts a member that has the swarm key for its connections, and plain keys: as a node of go-libp2p would be. */
async function startGuesser(key: SwarmKey, peers: readonly Libp2pRouter[]): Promise<Libp2pRouter> {
  const swarm = { swarmKeys: { keys: [key] }, isOpen: false, onStranger: () => undefined };
  return network.start(peers, {}, { createNode: (init) => createNode({ ...init, swarm }) });
}

const idsOf = async (router: Libp2pRouter, key: string): Promise<string[]> =>
  (await found(router, key)).map(({ peerId }) => peerId);

/** Waits until the routers are connected with each other. */
async function meet(routers: readonly Libp2pRouter[]): Promise<void> {
  await until(() => routers.every((router) => router.status().peers === routers.length - 1));
}

describe('keys of names', () => {
  it('are not those that a guessed name gives, in a closed cluster', async () => {
    const key = newSwarmKey();
    const { router: holder } = await start([key]);
    const { router: member } = await start([key], [holder]);
    const guesser = await startGuesser(key, [holder, member]);
    const other = await startGuesser(key, [holder, member, guesser]);
    await meet([holder, member, guesser, other]);
    await holder.advertise([TAG, DIGEST]);
    await other.advertise(['plain']);
    for (const name of [TAG, DIGEST]) {
      assert.deepEqual(await idsOf(member, name), [holder.peerId]);
      assert.deepEqual(await idsOf(guesser, name), []);
    }
    assert.deepEqual(await idsOf(guesser, 'plain'), [other.peerId], 'it can look up');
    assert.deepEqual(await idsOf(member, 'plain'), []);
    // Nor can it say where a name leads.
    await guesser.advertise([TAG]);
    assert.deepEqual(await idsOf(member, TAG), [holder.peerId]);
  });

  it('change node by node with the swarm key, and everything is found all the while', async () => {
    const [old, next] = [newSwarmKey(), newSwarmKey()];
    const nodes = [await start([old])];
    while (nodes.length < 4)
      nodes.push(
        await start(
          [old],
          nodes.map(({ router }) => router),
        ),
      );
    const routers = nodes.map(({ router }) => router);
    await meet(routers);
    let names = 0;
    for (const [i, router] of routers.entries()) await router.advertise([`name ${i}`]);
    for (const keys of [[old, next], [next, old], [next]]) {
      for (const [at, node] of nodes.entries()) {
        node.keys.change(keys);
        const fresh = `fresh ${names++}`;
        await node.router.advertise([fresh]);
        for (const [i, router] of routers.entries()) {
          for (const [j, holder] of routers.entries()) {
            if (i !== j) assert.deepEqual(await idsOf(router, `name ${j}`), [holder.peerId]);
          }
          if (i !== at) assert.deepEqual(await idsOf(router, fresh), [node.router.peerId]);
        }
        // The step is done when the records of the node are placed; the administrator waits longer than that.
        await until(() =>
          routers.every(
            (router) => router.known(`name ${at}`).length === (router === node.router ? 0 : 1),
          ),
        );
      }
    }
    // One record of each name: those under the old key are withdrawn.
    await until(() => routers.every((router) => router.status().records === 4 + names));
  });

  it('are plain ones too where nodes without a swarm key may connect', async () => {
    const key = newSwarmKey();
    const { router: both } = await start([key], [], true);
    const plain = await network.start([both]);
    const { router: closed } = await start([key], [both]);
    await until(() => both.status().peers === 2);
    for (const [name, router] of [
      ['by both', both],
      ['by plain', plain],
      ['by closed', closed],
    ] as const) {
      await router.advertise([name]);
    }
    assert.deepEqual(await idsOf(both, 'by plain'), [plain.peerId]);
    assert.deepEqual(await idsOf(both, 'by closed'), [closed.peerId]);
    assert.deepEqual(await idsOf(plain, 'by both'), [both.peerId]);
    assert.deepEqual(await idsOf(closed, 'by both'), [both.peerId]);
    assert.deepEqual(await idsOf(closed, 'by plain'), []);
  });

  it('are all forgotten with a provider, until it provides under one of them again', async () => {
    const keys = [newSwarmKey(), newSwarmKey()];
    const { router: holder } = await start(keys);
    const { router: reader } = await start(keys, [holder]);
    await meet([holder, reader]);
    await holder.advertise([TAG]);
    await until(() => reader.status().records === keys.length);
    assert.deepEqual(await idsOf(reader, TAG), [holder.peerId]);
    reader.forget(TAG, holder.peerId);
    assert.deepEqual(await idsOf(reader, TAG), []);
    assert.deepEqual(reader.known(TAG), []);
    await holder.withdraw([TAG]);
    await holder.advertise([TAG]);
    assert.deepEqual(await idsOf(reader, TAG), [holder.peerId]);
  });
});
