import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { newSwarmKey } from '../../membership/swarm-key.ts';
import { echo, echoOver, startSwarmNode } from '../../testing/swarm-nodes.ts';

describe('withDialsWithoutKey', () => {
  it('connects an open node with those without a key and those with it, in both directions', async (t) => {
    const key = newSwarmKey();
    const without = await startSwarmNode(t, []);
    const open = await startSwarmNode(t, [key], true);
    const closed = await startSwarmNode(t, [key]);
    const second = await startSwarmNode(t, [key], true);
    for (const [from, to] of [
      [without, open],
      [open, without],
      [open, closed],
      [closed, open],
      [open, second],
    ] as const) {
      await Promise.all(from.node.getConnections().map((connection) => connection.close()));
      assert.equal(await echo(from, to, 1000), 1000);
    }
    assert.deepEqual(closed.strangers, []);
    await assert.rejects(without.node.dial(closed.node.getMultiaddrs()));
  });

  it('dials a node with the key again that had none before', async (t) => {
    const key = newSwarmKey();
    const open = await startSwarmNode(t, [key], true);
    const without = await startSwarmNode(t, []);
    const address = multiaddr(`/ip4/127.0.0.1/tcp/${without.port}`);
    await open.node.dial(address);
    await without.node.stop();
    const closed = await startSwarmNode(t, [key], false, without.port);
    const connection = await open.node.dial(address);
    assert.equal(await echoOver(connection, 1000), 1000);
    await connection.close();
    // It is not dialled without the key any more.
    const before = closed.strangers.length;
    await open.node.dial(address);
    assert.equal(closed.strangers.length, before);
  });

  it('does not dial without the key where the node is not open', async (t) => {
    const [without, closed] = [
      await startSwarmNode(t, []),
      await startSwarmNode(t, [newSwarmKey()]),
    ];
    await assert.rejects(closed.node.dial(without.node.getMultiaddrs()));
    assert.equal(without.node.getConnections().length, 0);
  });

  it('fails at once where nothing listens', async (t) => {
    const open = await startSwarmNode(t, [newSwarmKey()], true);
    const gone = await startSwarmNode(t, []);
    const addresses = gone.node.getMultiaddrs();
    await gone.node.stop();
    await assert.rejects(open.node.dial(addresses), /ECONNREFUSED|refused/);
  });
});
