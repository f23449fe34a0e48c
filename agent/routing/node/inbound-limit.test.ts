import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import type { MultiaddrConnection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';

import { newSwarmKey } from '../../membership/swarm-key.ts';
import { until } from '../../testing/conformance/router.ts';
import { echo, startSwarmNode } from '../../testing/swarm-nodes.ts';
import { InboundLimit } from './inbound-limit.ts';

function connectionFrom(ip: string) {
  const connection = Object.assign(new EventTarget(), {
    remoteAddr: multiaddr(`/ip${ip.includes(':') ? '6' : '4'}/${ip}/tcp/40000`),
    status: 'open',
  });
  return connection as unknown as MultiaddrConnection & EventTarget;
}

/** A TCP connection with the port, with what is done to it in the end. */
async function open(t: TestContext, port: number, from: string): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress: from });
  socket.on('error', () => undefined);
  t.after(() => {
    socket.destroy();
  });
  await once(socket, 'connect');
  return socket;
}

describe('InboundLimit', () => {
  it('counts handshakes and connections of each host apart, and forgets a host that has none', () => {
    const refused: string[] = [];
    const limit = new InboundLimit({
      maxPending: 2,
      maxConnections: 3,
      onRefused: (address) => refused.push(address),
    });
    const all = Array.from({ length: 4 }, () => connectionFrom('10.0.0.1'));
    const denied = () => all.map((connection) => limit.denies(connection));
    const [first, second] = all;
    assert.ok(first && second);
    assert.deepEqual(denied().slice(0, 3), [false, false, true]);
    assert.equal(limit.denies(connectionFrom('10.0.0.2')), false);
    limit.established(first);
    limit.established(first);
    limit.established(second);
    assert.equal(limit.denies(connectionFrom('10.0.0.1')), false);
    assert.equal(limit.denies(connectionFrom('10.0.0.1')), true);
    assert.equal(refused.length, 3);
    for (const connection of [first, second]) connection.dispatchEvent(new Event('close'));
    assert.equal(limit.denies(connectionFrom('10.0.0.1')), false);
    const one = connectionFrom('10.0.0.3');
    assert.equal(limit.denies(one), false);
    assert.equal(limit.hosts, 3);
    one.dispatchEvent(new Event('close'));
    assert.equal(limit.hosts, 2);
  });

  it('refuses a connection that has ended by now', () => {
    const limit = new InboundLimit();
    const connection = Object.assign(connectionFrom('10.0.0.1'), { status: 'closed' as const });
    assert.equal(limit.denies(connection), true);
    assert.equal(limit.hosts, 0);
  });

  it('takes an IPv6 network of 64 bits for one host', () => {
    const limit = new InboundLimit({ maxPending: 1 });
    assert.equal(limit.denies(connectionFrom('fd00:1:2:3::1')), false);
    assert.equal(limit.denies(connectionFrom('fd00:1:2:3:4:5:6:7')), true);
    assert.equal(limit.denies(connectionFrom('fd00:1:2:4::1')), false);
    assert.equal(limit.denies(connectionFrom('fd00::1')), false);
    assert.equal(limit.denies(connectionFrom('fd00::2')), true);
    assert.equal(limit.denies(connectionFrom('::ffff:10.0.0.1')), false);
    assert.equal(limit.denies(connectionFrom('::ffff:10.0.0.2')), false);
  });

  it('leaves room for others when one host opens hundreds of connections and says nothing', async (t) => {
    const key = newSwarmKey();
    const [node, other] = [await startSwarmNode(t, [key]), await startSwarmNode(t, [key])];
    const silent = await Promise.all(
      Array.from({ length: 500 }, () => open(t, node.port, '127.0.0.77')),
    );
    const closed = (): number => silent.filter((socket) => socket.destroyed).length;
    for (const socket of silent) socket.resume();
    // All but the few that may be silent for five seconds are ended at once.
    await until(() => closed() >= 500 - 64);
    assert.equal(await echo(other, node, 1000), 1000);
    await until(() => closed() === 500);
    assert.equal(await echo(other, node, 1000), 1000);
  });
});
