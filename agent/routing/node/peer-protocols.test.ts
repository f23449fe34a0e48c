import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';

import { until } from '../../testing/conformance/router.ts';
import { createNode } from './libp2p-node.ts';
import type { RoutingNode } from './libp2p-node.ts';
import { PeerProtocols } from './peer-protocols.ts';

/** A node that speaks the given protocols, and what it knows of those of others. */
async function start(t: TestContext, ...spoken: string[]) {
  const { node, start: listen } = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    serveDht: () => undefined,
    listen: ['/ip4/127.0.0.1/tcp/0'],
  });
  const protocols = new PeerProtocols(node);
  protocols.start();
  for (const protocol of spoken) await node.handle(protocol, () => undefined);
  await listen();
  t.after(async () => {
    protocols.stop();
    await node.stop();
  });
  return { node, protocols };
}

const connect = (from: RoutingNode, to: RoutingNode) => from.dial(to.getMultiaddrs());

describe('PeerProtocols', () => {
  it('knows the own protocols of connected peers, and no others', async (t) => {
    const a = await start(t, '/peerglass/a/1.0.0');
    const b = await start(t, '/peerglass/b/1.0.0', '/other/1.0.0');
    const id = b.node.peerId.toString();
    assert.deepEqual(a.protocols.own(), ['/peerglass/a/1.0.0']);
    assert.deepEqual(a.protocols.of(id), []);
    await connect(a.node, b.node);
    await until(() => a.protocols.of(id).length > 0);
    assert.deepEqual(a.protocols.of(id), ['/peerglass/b/1.0.0']);
    await until(() => b.protocols.of(a.node.peerId.toString())[0] === '/peerglass/a/1.0.0');
    await b.node.stop();
    await until(() => a.protocols.of(id).length === 0);
  });

  it('knows none of a peer that speaks none', async (t) => {
    const [a, b] = [await start(t), await start(t)];
    let identified = false;
    a.node.addEventListener('peer:identify', () => (identified = true));
    await connect(a.node, b.node);
    await until(() => identified);
    assert.deepEqual(a.protocols.of(b.node.peerId.toString()), []);
  });

  it('keeps a bounded number of protocols of a peer, and none with a long name', async (t) => {
    const many = Array.from({ length: 40 }, (_, i) => `/peerglass/${String(i)}`);
    const b = await start(t, `/peerglass/${'x'.repeat(200)}`, ...many);
    const a = await start(t);
    await connect(a.node, b.node);
    const known = () => a.protocols.of(b.node.peerId.toString());
    await until(() => known().length > 0);
    assert.equal(known().length, 16);
    assert.ok(known().every((name) => many.includes(name)));
  });
});
