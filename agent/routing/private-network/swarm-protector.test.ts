import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';

import { newSwarmKey } from '../../membership/swarm-key.ts';
import { echo, echoOver, startSwarmNode, type SwarmNode } from '../../testing/swarm-nodes.ts';

/** Bytes that a connection carries after its handshake in tests. */
const SOME = 1000;

async function refuses(from: SwarmNode, to: SwarmNode): Promise<void> {
  const before = to.node.getConnections().length;
  await assert.rejects(from.node.dial(to.node.getMultiaddrs()));
  assert.equal(to.node.getConnections().length, before);
}

describe('SwarmProtector', () => {
  it('connects nodes that have the same key', async (t) => {
    const key = newSwarmKey();
    const [a, b] = [await startSwarmNode(t, [key]), await startSwarmNode(t, [key])];
    assert.equal(await echo(a, b, SOME), SOME);
    assert.deepEqual(b.strangers, []);
  });

  it('refuses a node with another key, and says where it came from', async (t) => {
    const a = await startSwarmNode(t, [newSwarmKey()]);
    const b = await startSwarmNode(t, [newSwarmKey()]);
    await refuses(a, b);
    assert.equal(b.strangers.length, 1);
    assert.match(b.strangers[0] ?? '', /^\/ip4\/127\.0\.0\.1\/tcp\/\d+/);
  });

  it('refuses a node without a key, and does not connect with one', async (t) => {
    const [a, b] = [await startSwarmNode(t, []), await startSwarmNode(t, [newSwarmKey()])];
    await refuses(a, b);
    assert.equal(b.strangers.length, 1);
    await refuses(b, a);
  });

  it('accepts each of its keys, and dials with the first', async (t) => {
    const [old, next] = [newSwarmKey(), newSwarmKey()];
    const before = await startSwarmNode(t, [old]);
    const first = await startSwarmNode(t, [old, next]);
    const then = await startSwarmNode(t, [next, old]);
    const after = await startSwarmNode(t, [next]);
    for (const [from, to] of [
      [before, first],
      [first, before],
      [first, then],
      [then, first],
      [then, after],
      [after, then],
      [before, then],
    ] as const) {
      assert.equal(await echo(from, to, SOME), SOME);
    }
    await refuses(then, before);
  });

  it('takes keys that were changed for the next connections, and ends none', async (t) => {
    const [old, next] = [newSwarmKey(), newSwarmKey()];
    const [a, b] = [await startSwarmNode(t, [old]), await startSwarmNode(t, [old])];
    const before = await a.node.dial(b.node.getMultiaddrs());
    b.swarmKeys.keys = [next];
    assert.equal(await echoOver(before, SOME), SOME);
    const c = await startSwarmNode(t, [old]);
    await assert.rejects(c.node.dial(b.node.getMultiaddrs()));
    c.swarmKeys.keys = [next];
    assert.equal(await echo(c, b, SOME), SOME);
  });

  for (const [what, bytes] of [
    ['random bytes', randomBytes(200)],
    ['bytes of a nonce and nothing else', randomBytes(24)],
    ['nothing', Buffer.alloc(0)],
    ['a request of HTTP', Buffer.from('GET /v2/ HTTP/1.1\r\nHost: a\r\n\r\n')],
  ] as const) {
    it(`ends a connection with ${what} within seconds, and sends no byte that depends on the key`, async (t) => {
      const node = await startSwarmNode(t, [newSwarmKey()]);
      const socket = connect(node.port, '127.0.0.1');
      let received = 0;
      socket.on('data', (data) => (received += data.length));
      // A reset, when there were bytes that it has not read.
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      socket.write(bytes);
      await new Promise((resolve) => socket.once('close', resolve));
      assert.ok(received === 0 || received === 24, String(received));
      assert.equal(node.node.getConnections().length, 0);
    });
  }
});
