import type { TestContext } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { Connection } from '@libp2p/interface';

import type { SwarmKey } from '../membership/swarm-key.ts';
import { createNode, DHT_PROTOCOL, type RoutingNode } from '../routing/node/libp2p-node.ts';

/** A node of {@link startSwarmNode}. */
export interface SwarmNode {
  readonly node: RoutingNode;
  /** May be changed. */
  readonly swarmKeys: { keys: readonly SwarmKey[] };
  /** Addresses of those that came with another key or without one. */
  readonly strangers: string[];
  /** Its TCP port on 127.0.0.1. */
  readonly port: number;
}

/**
 * Starts a libp2p node on loopback, with these swarm keys, that answers each message of the DHT's protocol with the same
 * one. Without keys it has no protector.
 */
export async function startSwarmNode(
  t: TestContext,
  keys: readonly SwarmKey[],
  isOpen = false,
  listenPort = 0,
): Promise<SwarmNode> {
  const swarmKeys = { keys };
  const strangers: string[] = [];
  const onStranger = (address: string): void => {
    strangers.push(address);
  };
  const { node, start } = await createNode({
    privateKey: await generateKeyPair('Ed25519'),
    serveDht: (stream) => {
      stream.addEventListener('message', ({ data }) => {
        stream.send(data);
      });
    },
    listen: [`/ip4/127.0.0.1/tcp/${listenPort}`],
    ...(keys.length > 0 && { swarm: { swarmKeys, isOpen, onStranger } }),
  });
  await start();
  t.after(() => node.stop());
  const [address] = node.services.listening.addresses();
  const port = Number(address?.getComponents().find(({ name }) => name === 'tcp')?.value);
  return { node, swarmKeys, strangers, port };
}

/** Dials a node, and has it answer with the same bytes. */
export async function echo(from: SwarmNode, to: SwarmNode, bytes: number): Promise<number> {
  return echoOver(await from.node.dial(to.node.getMultiaddrs()), bytes);
}

/** Has the node at the other end answer with the same bytes. */
export async function echoOver(connection: Connection, bytes: number): Promise<number> {
  const stream = await connection.newStream(DHT_PROTOCOL);
  const sent = new Uint8Array(bytes).fill(7);
  const done = Promise.withResolvers<number>();
  let received = 0;
  stream.addEventListener('message', ({ data }) => {
    for (const byte of data.subarray()) if (byte === 7) received += 1;
    if (received >= bytes) done.resolve(received);
  });
  stream.addEventListener('close', () => {
    done.resolve(received);
  });
  for (let at = 0; at < bytes; at += 10_000) {
    if (!stream.send(sent.subarray(at, at + 10_000))) await stream.onDrain();
  }
  const result = await done.promise;
  stream.abort(new Error('done'));
  return result;
}
