import { once } from 'node:events';
import type { TestContext } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PrivateKey, Stream } from '@libp2p/interface';

import { createNode, DHT_PROTOCOL, type RoutingNode } from '../routing/node/libp2p-node.ts';

/**
 * For tests: starts a libp2p node without a router; it stops with the test.
 *
 * @param host loopback address to listen on
 * @param serveDht called with each inbound stream of the DHT protocol
 * @param privateKey its identity; default a new one
 */
export async function startRoutingNode(
  t: TestContext,
  host: string,
  serveDht: (stream: Stream) => void = () => undefined,
  privateKey?: PrivateKey,
): Promise<RoutingNode> {
  const { node, start } = await createNode({
    privateKey: privateKey ?? (await generateKeyPair('Ed25519')),
    serveDht: (stream) => {
      serveDht(stream);
    },
    listen: [`/ip4/${host}/tcp/0`],
  });
  await start();
  t.after(() => node.stop());
  return node;
}

/** For tests: the address at which the node listens. */
export function addressOf(node: RoutingNode): string {
  return String(node.services.listening.addresses()[0]);
}

/** Opens streams from one node to another. */
export interface StreamSource {
  /** The node that opens the streams. */
  readonly node: RoutingNode;
  /** Opens a stream; gives both ends of it. */
  open(): Promise<{ near: Stream; far: Stream }>;
}

/** For tests: two connected nodes. */
export async function startStreamSource(t: TestContext): Promise<StreamSource> {
  const inbound = new EventTarget();
  const far = await startRoutingNode(t, '127.0.0.45', (stream) => {
    inbound.dispatchEvent(new CustomEvent('stream', { detail: stream }));
  });
  const node = await startRoutingNode(t, '127.0.0.44');
  await node.dial(far.services.listening.addresses());
  return {
    node,
    open: async () => {
      const arrival = once(inbound, 'stream') as Promise<[CustomEvent<Stream>]>;
      const near = await node.dialProtocol(far.peerId, DHT_PROTOCOL);
      const [{ detail }] = await arrival;
      return { near, far: detail };
    },
  };
}
