import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { newSwarmKey } from '../../membership/swarm-key.ts';
import { until } from '../../testing/conformance/router.ts';
import { echo, startSwarmNode, type SwarmNode } from '../../testing/swarm-nodes.ts';

/** More than all buffers on the way. */
const MUCH = 3_000_000;

async function pair(t: TestContext): Promise<readonly [SwarmNode, SwarmNode]> {
  const key = newSwarmKey();
  return [await startSwarmNode(t, [key]), await startSwarmNode(t, [key])];
}

describe('ProtectedConnection', () => {
  it('carries much more than its buffers hold, both ways', async (t) => {
    const [a, b] = await pair(t);
    assert.equal(await echo(a, b, MUCH), MUCH);
  });

  it('ends with the other side, in order or not', async (t) => {
    const [a, b] = await pair(t);
    const connection = await a.node.dial(b.node.getMultiaddrs());
    await connection.close();
    await until(() => b.node.getConnections().length === 0);
    const second = await a.node.dial(b.node.getMultiaddrs());
    await until(() => b.node.getConnections().length === 1);
    second.abort(new Error('gone'));
    await until(() => b.node.getConnections().length === 0);
    assert.equal(a.node.getConnections().length, 0);
  });

  it('shows no word of the protocols to who reads the wire', async (t) => {
    const [a, b] = await pair(t);
    const seen: Buffer[] = [];
    const wire = createServer((from) => {
      const to: Socket = connect(b.port, '127.0.0.1');
      from.on('data', (data) => seen.push(data)).pipe(to);
      to.on('data', (data) => seen.push(data)).pipe(from);
      for (const end of [from, to]) end.on('error', () => undefined);
      t.after(() => {
        from.destroy();
        to.destroy();
      });
    });
    wire.listen(0, '127.0.0.1');
    await once(wire, 'listening');
    t.after(() => wire.close());
    const { port } = wire.address() as AddressInfo;
    const { multiaddr } = await import('@multiformats/multiaddr');
    await a.node.dial(multiaddr(`/ip4/127.0.0.1/tcp/${String(port)}`));
    await until(() => b.node.getConnections().length === 1);
    const text = Buffer.concat(seen).toString('latin1');
    assert.ok(text.length > 100);
    assert.doesNotMatch(text, /multistream|noise|yamux|spegel/);
  });
});
