import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';

import { until } from '../../testing/conformance/router.ts';
import { createNode } from './libp2p-node.ts';
import type { RoutingNode } from './libp2p-node.ts';

const PROTOCOL = '/test/1.0.0';

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

describe('LastHeard', () => {
  it('knows when bytes of a peer came last, on both sides, until the connection ends', async (t) => {
    const [a, b] = [await startNode(t), await startNode(t)];
    const [heardByA, heardByB] = [a, b].map(({ services }) => services.lastHeard);
    const [idOfA, idOfB] = [a, b].map(({ peerId }) => peerId.toString());
    assert.ok(heardByA && heardByB && idOfA !== undefined && idOfB !== undefined);
    assert.equal(heardByA.of(idOfB), undefined, 'not connected');

    const served: unknown[] = [];
    await b.handle(PROTOCOL, (stream) => {
      stream.addEventListener('message', ({ data }) => served.push(data));
    });
    const connection = await a.dial(b.getMultiaddrs());
    const stream = await connection.newStream(PROTOCOL);
    const connectedAt = heardByB.of(idOfA);
    assert.ok(connectedAt !== undefined && heardByA.of(idOfB) !== undefined);
    await until(() => (heardByB.of(idOfA) ?? 0) + 1 < performance.now());

    const sentAt = performance.now();
    stream.send(new Uint8Array(1));
    await until(() => served.length === 1);
    assert.ok((heardByB.of(idOfA) ?? 0) >= sentAt);

    await connection.close();
    await until(() => heardByA.of(idOfB) === undefined && heardByB.of(idOfA) === undefined);
  });

  it('knows of a peer as long as one of its connections is open', async (t) => {
    const [a, b] = [await startNode(t), await startNode(t)];
    const idOfB = b.peerId.toString();
    const first = await a.dial(b.getMultiaddrs());
    const second = await a.dial(b.getMultiaddrs(), { force: true });
    await first.close();
    await until(() => a.getConnections(b.peerId).length === 1);
    assert.notEqual(a.services.lastHeard.of(idOfB), undefined);
    await second.close();
    await until(() => a.services.lastHeard.of(idOfB) === undefined);
  });
});
