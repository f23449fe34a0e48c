import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import type { TestContext } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { StreamHandler } from '@libp2p/interface';

import { until } from '../../testing/conformance/router.ts';
import { createNode, DHT_PROTOCOL, RouterListenError, routingTableOf } from './libp2p-node.ts';
import type { NodeInit, RoutingNode } from './libp2p-node.ts';

async function startNode(t: TestContext, init: Partial<NodeInit> = {}): Promise<RoutingNode> {
  const { node, start } = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    serveDht: () => undefined,
    listen: ['/ip4/127.0.0.1/tcp/0'],
    ...init,
  });
  await start();
  t.after(() => node.stop());
  return node;
}

async function connect(from: RoutingNode, to: RoutingNode): Promise<void> {
  await from.dial(to.getMultiaddrs());
}

describe('createNode', () => {
  it('serves the DHT protocol by the given handler instead of that of kad-dht', async (t) => {
    const served: string[] = [];
    const serveDht: StreamHandler = (stream, { remotePeer }) => {
      served.push(remotePeer.toString());
      void stream.close();
    };
    const [a, b] = [await startNode(t, { serveDht }), await startNode(t)];
    await connect(b, a);
    const stream = await b.dialProtocol(a.peerId, DHT_PROTOCOL);
    stream.send(new Uint8Array(1));
    await until(() => served.includes(b.peerId.toString()));
    stream.abort(new Error('done'));
  });

  it('announces where it listens, with a registry that is not at the default port', async (t) => {
    const node = await startNode(t, { registry: { port: 6000, tls: false } });
    const [listening] = node.services.listening.addresses();
    const announced = [String(listening), '/ip4/127.0.0.1/tcp/6000/http'];
    assert.deepEqual(node.getMultiaddrs().map(String), announced);
  });

  it('puts a connected peer that speaks the DHT protocol into the routing table', async (t) => {
    const answering: StreamHandler = (stream) => {
      // The answer to the PING that kad-dht verifies a peer by: the same message.
      stream.addEventListener('message', ({ data }) => {
        stream.send(data);
      });
    };
    const [a, b] = [await startNode(t), await startNode(t, { serveDht: answering })];
    await connect(a, b);
    await until(() => routingTableOf(a).size === 1);
    const [entry] = routingTableOf(a).kb.toIterable();
    assert.ok(entry?.peerId.equals(b.peerId));
  });

  it('keeps connections on which nothing is sent: their sockets have no time-out', async (t) => {
    const [a, b] = [await startNode(t), await startNode(t)];
    await connect(a, b);
    await until(() => b.getConnections().length === 1);
    const timeouts = [a, b].map((node) => {
      // libp2p sets two minutes by default. Not in the types of libp2p 3.3.11.
      const [connection] = node.getConnections() as unknown as [
        { readonly maConn: { readonly socket: { readonly timeout: number | undefined } } },
      ];
      return connection.maConn.socket.timeout;
    });
    assert.deepEqual(timeouts, [0, 0]);
  });

  it('rejects with the address when it cannot listen there, though it could elsewhere', async (t) => {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const listen = [`/ip4/127.0.0.2/tcp/0`, `/ip4/127.0.0.1/tcp/${String(port)}`];
    await assert.rejects(startNode(t, { listen }), (error) => {
      assert.ok(error instanceof RouterListenError);
      assert.equal(error.code, 'ERR_ROUTER_LISTEN');
      assert.equal(error.address, `127.0.0.1:${String(port)}`);
      assert.equal(error.systemCode, 'EADDRINUSE');
      assert.match(error.message, /the address is in use/);
      return true;
    });
  });

  it('starts without an IPv6 address that the host does not have', async (t) => {
    const listen = ['/ip4/127.0.0.1/tcp/0', '/ip6/2001:db8::1/tcp/0'];
    const node = await startNode(t, { listen });
    assert.equal(node.services.listening.addresses().length, 1);
    await assert.rejects(startNode(t, { listen: listen.slice(1) }), {
      systemCode: 'EADDRNOTAVAIL',
      address: '[2001:db8::1]:0',
    });
  });
});
