/**
 * `node identities-main.ts COUNT FIRST-PORT PEER...`: members of the DHT with one address, which take all records and say
 * that nothing is held and that they know only each other. Each dials all peers. Prints `joined N` with the number of
 * identities that are connected with all peers, when all have tried.
 */
import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';

import {
  decodeDhtMessage,
  encodeAnswer,
  encodePeer,
  encodePing,
  MESSAGE_TYPE,
} from '../../../agent/routing/dht/dht-messages.ts';
import { FrameReader } from '../../../agent/routing/dht/frame-reader.ts';
import { frame } from '../../../agent/routing/dht/frames.ts';
import { closest, K, kadIdOf, prefixOf } from '../../../agent/routing/dht/kademlia.ts';
import { targetOf } from '../../../agent/routing/dht/key.ts';
import { loadIdentity } from '../../../agent/routing/node/identity.ts';
import { createNode, type RoutingNode } from '../../../agent/routing/node/libp2p-node.ts';
import { memberOf } from '../../harness/swarm.ts';

const MAX_REQUEST_BYTES = 8 * 1024;
/** Identities that dial at the same time. */
const AT_ONCE = 8;

const [count, firstPort, ...peers] = process.argv.slice(2);

/** An identity, and what the others say of it. */
interface Identity {
  readonly node: RoutingNode;
  readonly prefix: number;
  readonly wire: Uint8Array;
}

const identities: Identity[] = [];
for (let index = 0; index < Number(count); index++) identities.push(await begin(index));
let joined = 0;
const left = identities.values();
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (const { node } of left) {
      const dials = peers.map((peer) => node.dial(multiaddr(peer)));
      const results = await Promise.allSettled(dials);
      if (results.every(({ status }) => status === 'fulfilled')) joined += 1;
    }
  }),
);
process.stdout.write(`joined ${joined}\n`);

async function begin(index: number): Promise<Identity> {
  const { node, start } = await createNode({
    ...memberOf(),
    privateKey: await loadIdentity(),
    serveDht: (stream) => {
      serve(stream).catch((error: unknown) => {
        stream.abort(error instanceof Error ? error : new Error('cannot serve'));
      });
    },
    listen: [`/ip4/0.0.0.0/tcp/${Number(firstPort) + index}`],
  });
  await start();
  const multiaddrs = node.getMultiaddrs().map(({ bytes }) => bytes);
  const wire = encodePeer({ id: node.peerId.toMultihash().bytes, multiaddrs });
  return { node, prefix: prefixOf(kadIdOf(node.peerId)), wire };
}

async function serve(stream: Stream): Promise<void> {
  using reader = new FrameReader(stream, MAX_REQUEST_BYTES);
  for (;;) {
    const bytes = await reader.next();
    if (bytes === undefined) return;
    const { type, key } = decodeDhtMessage(bytes);
    if (type === MESSAGE_TYPE.ping) stream.send(frame(encodePing()));
    else if (type === MESSAGE_TYPE.findNode || type === MESSAGE_TYPE.getProviders) {
      const closer = closest(targetOf(key), identities, K).map(({ wire }) => wire);
      const said = { closer, providers: [], established: true };
      stream.send(frame(encodeAnswer({ type, key, ...said })));
    }
  }
}
