import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { ConnectionEncrypter, PrivateKey, Transport } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { until } from '../../testing/conformance/router.ts';
import { addressOf } from '../../testing/routing-node.ts';
import { DuplicateIdentity } from './duplicate-identity.ts';
import { createNode, type RoutingNode } from './libp2p-node.ts';

/** A node with this key, and the addresses at which it has seen duplicates of itself. */
async function startNode(
  t: TestContext,
  privateKey: PrivateKey,
  host: string,
): Promise<{ readonly node: RoutingNode; readonly found: string[] }> {
  const found: string[] = [];
  const { node, start } = await createNode({
    privateKey,
    serveDht: () => undefined,
    listen: [`/ip4/${host}/tcp/0`],
    onDuplicate: (address) => found.push(address),
  });
  await start();
  t.after(() => node.stop());
  return { node, found };
}

/** Messages of multistream-select, by which both sides agree on the noise handshake. */
const AGREEMENT = Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n');

/** Connects with the node and begins a handshake, which then waits for the first bytes of noise. */
async function beginHandshake(t: TestContext, port: number, host: string): Promise<Socket> {
  const socket = connect(port, host);
  t.after(() => socket.destroy());
  socket.on('error', () => undefined);
  socket.write(AGREEMENT);
  let agreed = 0;
  while (agreed < AGREEMENT.length) agreed += ((await once(socket, 'data')) as [Buffer])[0].length;
  socket.pause();
  return socket;
}

describe('DuplicateIdentity', () => {
  it('is found by both nodes when one dials the other', async (t) => {
    const key = await generateKeyPair('Ed25519');
    const [one, other] = [
      await startNode(t, key, '127.0.0.46'),
      await startNode(t, key, '127.0.0.47'),
    ];
    const target = addressOf(other.node);
    await assert.rejects(one.node.dial(multiaddr(target)), /dial self/i);
    assert.deepEqual(one.found, [target]);
    await until(() => other.found.length === 1);
    assert.match(other.found[0] ?? '', /^\/ip4\/127\.0\.0\./);
  });

  it('is not found where an address of another host leads to this node itself', async (t) => {
    const { node, found } = await startNode(t, await generateKeyPair('Ed25519'), '127.0.0.46');
    const own = multiaddr(addressOf(node)).getComponents();
    const [host, port] = [own[0]?.value ?? '', Number(own[1]?.value)];
    // As a virtual IP or a NAT would.
    const relay = createServer((socket) => {
      const onward = connect(port, host);
      socket.on('error', () => onward.destroy());
      onward.on('error', () => socket.destroy());
      socket.pipe(onward).pipe(socket);
    });
    await new Promise<void>((resolve) => relay.listen(0, '127.0.0.48', resolve));
    t.after(() => relay.close());
    const { port: relayPort } = relay.address() as AddressInfo;
    for (let count = 0; count < 3; count += 1) {
      const dialled = node.dial(multiaddr(`/ip4/127.0.0.48/tcp/${String(relayPort)}`));
      await assert.rejects(dialled, /dial self/i);
    }
    assert.deepEqual(found, []);
  });

  it('is not found when a peer forwards our handshake into a connection that it opened before', async (t) => {
    const { node, found } = await startNode(t, await generateKeyPair('Ed25519'), '127.0.0.46');
    const own = multiaddr(addressOf(node)).getComponents();
    const waiting = await beginHandshake(t, Number(own[1]?.value), own[0]?.value ?? '');
    const attacker = createServer((socket) => {
      socket.on('error', () => waiting.destroy());
      socket.write(AGREEMENT);
      let toDrop = AGREEMENT.length;
      socket.on('data', (bytes) => {
        const dropped = Math.min(toDrop, bytes.length);
        toDrop -= dropped;
        waiting.write(bytes.subarray(dropped));
      });
      waiting.pipe(socket);
    });
    await new Promise<void>((resolve) => attacker.listen(0, '127.0.0.48', resolve));
    t.after(() => attacker.close());
    const { port } = attacker.address() as AddressInfo;
    const dialled = node.dial(multiaddr(`/ip4/127.0.0.48/tcp/${String(port)}`));
    await assert.rejects(dialled, /dial self/i);
    assert.deepEqual(found, []);
  });

  it('is not found in connections with other nodes', async (t) => {
    const one = await startNode(t, await generateKeyPair('Ed25519'), '127.0.0.46');
    const other = await startNode(t, await generateKeyPair('Ed25519'), '127.0.0.47');
    await one.node.dial(multiaddr(addressOf(other.node)));
    assert.deepEqual([...one.found, ...other.found], []);
  });

  it('passes on what the handshake fails with', async () => {
    const ownPeerId = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
    const failing = {
      secureOutbound: () => Promise.reject(new Error('out')),
      secureInbound: () => Promise.reject(new Error('in')),
    } as unknown as ConnectionEncrypter;
    const found: string[] = [];
    const duplicates = new DuplicateIdentity({ ownPeerId, onFound: (it) => found.push(it) });
    const watched = duplicates.watchHandshakes(failing);
    await assert.rejects(watched.secureOutbound({} as never), /out/);
    await assert.rejects(watched.secureInbound({} as never), /in/);
    const dead = { dial: () => Promise.reject(new Error('dial')) } as unknown as Transport;
    const target = multiaddr('/ip4/127.0.0.1/tcp/9');
    await assert.rejects(duplicates.watchDials(dead).dial(target, {} as never), /dial/);
    assert.deepEqual(found, []);
  });
});
