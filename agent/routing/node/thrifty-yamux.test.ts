import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { multiaddr } from '@multiformats/multiaddr';

import { tcpAddress } from './announced-addresses.ts';
import { until } from '../../testing/conformance/router.ts';
import { createNode } from './libp2p-node.ts';
import type { RoutingNode } from './libp2p-node.ts';

const PROTOCOL = '/test/1.0.0';

/** A proxy that counts the bytes that come back from the server. */
async function counting(port: number) {
  const count = { back: 0 };
  const server = createServer((socket) => {
    const onward = connect(port, '127.0.0.1');
    onward.on('data', (chunk) => (count.back += chunk.length));
    for (const end of [socket, onward]) end.on('error', () => undefined);
    socket.pipe(onward).pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { count, server, port: (server.address() as AddressInfo).port };
}

async function startNode(): Promise<RoutingNode> {
  const privateKey = await generateKeyPair('Ed25519');
  const serveDht = (): void => undefined;
  const listen = ['/ip4/127.0.0.1/tcp/0'];
  const { node, start } = await createNode({ privateKey, serveDht, listen });
  await start();
  return node;
}

describe('thriftyYamux', () => {
  it('sends no window update for each small message, and lets large amounts flow', async (t) => {
    const [a, b] = [await startNode(), await startNode()];
    t.after(() => Promise.all([a.stop(), b.stop()]));
    const [address] = b.services.listening.addresses();
    const target = address && tcpAddress(address)?.port;
    assert.ok(target);
    const { count, server, port } = await counting(target);
    t.after(() => server.close());
    let received = 0;
    await b.handle(PROTOCOL, (stream) => {
      stream.addEventListener('message', ({ data }) => (received += data.byteLength));
    });
    await a.dial(multiaddr(`/ip4/127.0.0.1/tcp/${String(port)}/p2p/${b.peerId.toString()}`));
    const stream = await a.dialProtocol(b.peerId, PROTOCOL);
    stream.send(new Uint8Array(1));
    await until(() => received === 1);
    const before = count.back;
    for (let sent = 1; sent <= 200; sent++) {
      stream.send(new Uint8Array(100));
      await until(() => received === 1 + sent * 100);
    }
    // An update takes some 30 bytes on the wire.
    assert.ok(count.back - before < 200 * 15, `${String(count.back - before)} bytes came back`);

    const large = 3 * 1024 * 1024;
    for (let sent = 0; sent < large; sent += 65_536) {
      if (!stream.send(new Uint8Array(65_536))) await stream.onDrain();
    }
    await until(() => received === 20_001 + large);
  });
});
