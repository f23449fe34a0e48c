import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { StreamHandler } from '@libp2p/interface';

import { until } from '../../testing/conformance/router.ts';
import { createNode, DHT_PROTOCOL } from './libp2p-node.ts';
import type { RoutingNode } from './libp2p-node.ts';

const IDENTIFY = '/ipfs/id/1.0.0';

async function startNode(t: TestContext): Promise<RoutingNode> {
  const { node, start } = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    serveDht: () => undefined,
    listen: ['/ip4/127.0.0.1/tcp/0'],
  });
  await start();
  t.after(() => node.stop());
  return node;
}

/** Has the node answer the first attempts by a reset of the stream, and all further ones as it should. */
async function failFirst(node: RoutingNode, attempts: number): Promise<{ readonly seen: number }> {
  // Not in the types of @libp2p/identify 4.1.14.
  const service = node.services.identify as unknown as { readonly handleProtocol: StreamHandler };
  const count = { seen: 0 };
  await node.unhandle(IDENTIFY);
  await node.handle(IDENTIFY, async (stream, connection) => {
    count.seen++;
    if (count.seen <= attempts) stream.abort(new Error('not now'));
    else await service.handleProtocol(stream, connection);
  });
  return count;
}

/** The peers that the node knows to speak the DHT's protocol, as the members of the DHT are found. */
async function membersOf(node: RoutingNode): Promise<readonly string[]> {
  const members: string[] = [];
  await node.register(DHT_PROTOCOL, { onConnect: (id) => void members.push(id.toString()) });
  return members;
}

describe('identifyConnections', () => {
  it('identifies a peer again when that failed, on the connection that is there', async (t) => {
    const [a, b] = [await startNode(t), await startNode(t)];
    const attempts = await failFirst(b, 2);
    const members = await membersOf(a);
    const connection = await a.dial(b.getMultiaddrs());
    await until(() => members.includes(b.peerId.toString()));
    assert.equal(attempts.seen, 3);
    assert.deepEqual(a.getConnections(), [connection]);
  });

  it('identifies once, from both sides', async (t) => {
    const [a, b] = [await startNode(t), await startNode(t)];
    const attempts = await failFirst(a, 0);
    const members = [await membersOf(a), await membersOf(b)] as const;
    await a.dial(b.getMultiaddrs());
    await until(() => members.every(({ length }) => length === 1));
    // Longer than the pause after an attempt that failed.
    await new Promise((resolve) => setTimeout(resolve, 1200));
    assert.equal(attempts.seen, 1);
  });

  it('ends with the connection, and begins with the next one', async (t) => {
    const [a, b] = [await startNode(t), await startNode(t)];
    const attempts = await failFirst(b, 1);
    const members = await membersOf(a);
    const first = await a.dial(b.getMultiaddrs());
    await until(() => attempts.seen === 1);
    await first.close();
    await until(() => a.getConnections().length === 0);
    await new Promise((resolve) => setTimeout(resolve, 1200));
    assert.equal(attempts.seen, 1);
    await a.dial(b.getMultiaddrs());
    await until(() => members.includes(b.peerId.toString()));
    assert.equal(attempts.seen, 2);
  });
});
