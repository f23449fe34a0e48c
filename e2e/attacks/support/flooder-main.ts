/**
 * Program of a `Flooder`: `node flooder-main.ts CONTROL-PORT PEER...`. Members of the DHT that provide as many records as
 * they can to each peer.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';

import { multiaddr } from '@multiformats/multiaddr';

import { DhtClient } from '../../../agent/routing/dht/dht-client.ts';
import { encodePing } from '../../../agent/routing/dht/dht-messages.ts';
import { FrameReader } from '../../../agent/routing/dht/frame-reader.ts';
import { frame } from '../../../agent/routing/dht/frames.ts';
import { LookupKeys } from '../../../agent/routing/dht/lookup-keys.ts';
import { loadIdentity } from '../../../agent/routing/node/identity.ts';
import { createNode, type RoutingNode } from '../../../agent/routing/node/libp2p-node.ts';
import { dhtPeer, type DhtPeer } from '../../../agent/routing/node/membership.ts';
import { OwnAddresses } from '../../../agent/routing/node/own-addresses.ts';
import type { FloodOrder, NamedOrder } from './flooder.ts';
import { memberOf } from '../../harness/swarm.ts';

/** Records in one batch; a batch is confirmed before the next is sent. */
const BATCH = 500;
const TIMEOUT_MS = 60_000;

/** One of the flooding members. */
interface Identity {
  readonly node: RoutingNode;
  readonly client: DhtClient;
  /** The flooded peers. */
  readonly peers: readonly DhtPeer[];
}

const [controlPort, ...addresses] = process.argv.slice(2);
const lookupKeys = new LookupKeys(memberOf().swarm);
let identities: readonly Identity[] = [];

const ORDERS: Readonly<Record<string, (argument: unknown) => Promise<unknown>>> = {
  flood: async (argument) => {
    const order = argument as FloodOrder;
    for (const { node } of identities) await node.stop();
    identities = await Promise.all(Array.from({ length: order.identities }, join));
    for (const identity of identities) await flood(identity, order.records);
    return {};
  },
  named: async (argument) => {
    const { keys, peerId } = argument as NamedOrder;
    const [identity] = identities;
    let named = 0;
    for (const peer of identity?.peers ?? []) {
      for (const key of keys) if (await isNamed(identity, peer, key, peerId)) named++;
    }
    return named;
  },
};

createServer((req, res) => {
  const order = ORDERS[(req.url ?? '').slice(1)];
  json(req)
    .then((argument) => order?.(argument))
    .then(
      (result) => res.end(JSON.stringify(result)),
      (error: unknown) => res.writeHead(500).end(String(error)),
    );
}).listen(Number(controlPort));

async function join(): Promise<Identity> {
  const { node, start } = await createNode({
    ...memberOf(),
    privateKey: await loadIdentity(),
    // It answers when it is asked whether it is alive, and keeps no records.
    serveDht: async (stream) => {
      using reader = new FrameReader(stream, 8 * 1024);
      while ((await reader.next()) !== undefined) stream.send(frame(encodePing()));
    },
    listen: ['/ip4/0.0.0.0/tcp/0'],
  });
  await start();
  const own = new OwnAddresses(node, () => undefined);
  await own.start();
  const peers: DhtPeer[] = [];
  for (const address of addresses)
    peers.push(dhtPeer((await node.dial(multiaddr(address))).remotePeer));
  return { node, client: new DhtClient(node, own, { allows: () => true }), peers };
}

async function flood({ client, peers }: Identity, records: number): Promise<void> {
  for (let sent = 0; sent < records; sent += BATCH) {
    const keys = Array.from({ length: BATCH }, () =>
      Buffer.concat([Uint8Array.of(0x12, 0x20), randomBytes(32)]),
    );
    await Promise.all(peers.map((peer) => client.addProviders(peer, keys, TIMEOUT_MS)));
  }
}

async function isNamed(
  identity: Identity | undefined,
  peer: DhtPeer,
  key: string,
  peerId: string,
): Promise<boolean> {
  const question = { closerThan: 0, isKnown: () => true };
  const { multihash } = lookupKeys.first(key);
  const answer = await identity?.client.getProviders(peer, multihash, question, TIMEOUT_MS);
  return answer?.providers.some((provider) => provider.peerId === peerId) ?? false;
}
