/**
 * A node of plain libp2p and kad-dht as they come, for comparison. Of the options only those differ from the
 * defaults without which many nodes on one machine would not form a network: private addresses, and limits on
 * connections that come from one address.
 */
import { randomBytes } from 'node:crypto';

import { noise } from '@chainsafe/libp2p-noise';
import { yamux } from '@chainsafe/libp2p-yamux';
import { identify } from '@libp2p/identify';
import { kadDHT, passthroughMapper, type KadDHT } from '@libp2p/kad-dht';
import { ping } from '@libp2p/ping';
import { tcp } from '@libp2p/tcp';
import { multiaddr } from '@multiformats/multiaddr';
import { createLibp2p } from 'libp2p';

import { keyToCid } from '../../../agent/routing/dht/key.ts';
import { serve } from './serve.ts';

const node = await createLibp2p({
  addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  transports: [tcp()],
  connectionEncrypters: [noise()],
  streamMuxers: [yamux()],
  connectionManager: { inboundConnectionThreshold: 500, maxIncomingPendingConnections: 500 },
  services: {
    identify: identify(),
    ping: ping(),
    dht: kadDHT({
      protocol: '/bench/kad/1.0.0',
      clientMode: false,
      peerInfoMapper: passthroughMapper,
    }),
  },
});
const dht: KadDHT & { readonly routingTable?: { readonly size: number } } = node.services.dht;

serve({
  address: () => node.getMultiaddrs()[0]?.toString(),
  dial: async (addresses) => {
    for (const address of addresses as string[]) await node.dial(multiaddr(address));
  },
  peers: () => dht.routingTable?.size ?? node.getPeers().length,
  provide: async (count) => {
    for (const name of randomNames(count)) await exhaust(dht.provide(keyToCid(name)));
  },
  /** Milliseconds of each look-up of a key without providers. */
  miss: async (count) => {
    const times: number[] = [];
    for (const name of randomNames(count)) {
      const started = performance.now();
      await exhaust(dht.findProviders(keyToCid(name)));
      times.push(performance.now() - started);
    }
    return times;
  },
});

function randomNames(count: unknown): string[] {
  const name = (): string => `sha256:${randomBytes(32).toString('hex')}`;
  return Array.from({ length: Number(count) }, name);
}

async function exhaust(events: AsyncIterable<unknown>): Promise<void> {
  const iterator = events[Symbol.asyncIterator]();
  while ((await iterator.next()).done !== true);
}
