import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection } from '@libp2p/interface';

import { until } from '../../testing/conformance/router.ts';
import { createNode } from './libp2p-node.ts';
import type { RoutingNode } from './libp2p-node.ts';

const PROTOCOL = '/test/1.0.0';
const MESSAGES = 20;

async function startNode(): Promise<RoutingNode> {
  const { node, start } = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    serveDht: () => undefined,
    listen: ['/ip4/127.0.0.1/tcp/0'],
  });
  await start();
  return node;
}

/** Counts the writes of the connection's socket to the system. */
function countWrites(connection: Connection): { count: number } {
  const writes = { count: 0 };
  const { socket } = (connection as unknown as { readonly maConn: { readonly socket: Socket } })
    .maConn;
  const write = socket._write.bind(socket);
  const writev = socket._writev?.bind(socket);
  assert.ok(writev);
  socket._write = (...args) => {
    writes.count += 1;
    write(...args);
  };
  socket._writev = (...args) => {
    writes.count += 1;
    writev(...args);
  };
  return writes;
}

describe('withWholeWrites', () => {
  it('writes each message at once, and large amounts whole', async (t) => {
    const [a, b] = [await startNode(), await startNode()];
    t.after(() => Promise.all([a.stop(), b.stop()]));
    let received = 0;
    await b.handle(PROTOCOL, (stream) => {
      stream.addEventListener('message', ({ data }) => (received += data.byteLength));
    });
    const connection = await a.dial(b.getMultiaddrs());
    // The peer store has the protocols of b when identify has ended, after which nothing else is sent.
    await until(async () => (await a.peerStore.get(b.peerId)).protocols.includes(PROTOCOL));
    const stream = await connection.newStream(PROTOCOL);
    stream.send(new Uint8Array(1));
    await until(() => received === 1);

    const writes = countWrites(connection);
    for (let sent = 1; sent <= MESSAGES; sent++) {
      stream.send(new Uint8Array(100));
      await until(() => received === 1 + sent * 100);
    }
    // In parts it would be two for each. The other side of identify may still need a few.
    assert.ok(writes.count >= MESSAGES && writes.count < 1.5 * MESSAGES, String(writes.count));

    const large = 1 << 20;
    for (let sent = 0; sent < large; sent += 65_536) {
      if (!stream.send(new Uint8Array(65_536))) await stream.onDrain();
    }
    await until(() => received === 1 + MESSAGES * 100 + large);
  });
});
