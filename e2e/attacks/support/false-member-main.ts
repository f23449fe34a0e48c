/**
 * Program of a `FalseMember`: `node false-member-main.ts ROUTER-PORT CONTROL-PORT REGISTRY-PORT PEER`. A member of the DHT that
 * keeps no records, and answers questions as it is ordered. When it names others at its own address, it also answers requests
 * for content there.
 */
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

import type { Stream } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';

import {
  decodeDhtMessage,
  encodePeer,
  encodePing,
  MESSAGE_TYPE,
} from '../../../agent/routing/dht/dht-messages.ts';
import { FrameReader } from '../../../agent/routing/dht/frame-reader.ts';
import { frame } from '../../../agent/routing/dht/frames.ts';
import { loadIdentity } from '../../../agent/routing/node/identity.ts';
import { createNode } from '../../../agent/routing/node/libp2p-node.ts';
import { falseAnswer, type Falsehood } from './false-answer.ts';
import { memberOf } from '../../harness/swarm.ts';

const MAX_REQUEST_BYTES = 8 * 1024;

const [routerPort = '', controlPort, registryPort, peer = ''] = process.argv.slice(2);

let kind: Falsehood = 'nothing';
/** Other peers, at the address of this one. */
let misplaced: readonly Uint8Array[] = [];
let asked = { findNode: 0, getProviders: 0, content: 0 };

const { node, start } = await createNode({
  ...memberOf(),
  privateKey: await loadIdentity(),
  serveDht: (stream) => {
    serve(stream).catch((error: unknown) => {
      stream.abort(error instanceof Error ? error : new Error('cannot serve'));
    });
  },
  listen: [`/ip4/0.0.0.0/tcp/${routerPort}`],
  registry: { port: 5000, tls: false },
});
await start();
await node.dial(multiaddr(peer));

/** Has everything, and signs nothing: that takes the key of the peer which was asked. */
const registry = createServer((req, res) => {
  asked.content++;
  const digest = `sha256:${'0'.repeat(64)}`;
  res.writeHead(200, { 'docker-content-digest': digest, 'content-length': 7 });
  res.end(req.method === 'HEAD' ? undefined : 'forged!');
});

createServer((req, res) => {
  text(req).then(
    (body) => {
      if (req.url === '/order') {
        kind = body as Falsehood;
        asked = { findNode: 0, getProviders: 0, content: 0 };
        if (kind === 'misplaced') pose();
      }
      res.end(JSON.stringify(asked));
    },
    (error: unknown) => res.writeHead(500).end(String(error)),
  );
}).listen(Number(controlPort));

/** Answers requests for content as if it were each of the peers that it knows. */
function pose(): void {
  registry.listen(Number(registryPort));
  const multiaddrs = node.getMultiaddrs().map(({ bytes }) => bytes);
  misplaced = node.getPeers().map((id) => encodePeer({ id: id.toMultihash().bytes, multiaddrs }));
}

async function serve(stream: Stream): Promise<void> {
  using reader = new FrameReader(stream, MAX_REQUEST_BYTES);
  for (;;) {
    const bytes = await reader.next();
    if (bytes === undefined) return;
    const answer = answerTo(bytes);
    if (answer !== undefined) stream.send(frame(answer));
  }
}

function answerTo(bytes: Uint8Array): Uint8Array | undefined {
  const message = decodeDhtMessage(bytes);
  // It is alive, and confirms that it has stored records.
  if (message.type === MESSAGE_TYPE.ping) return encodePing();
  if (message.type === MESSAGE_TYPE.findNode) asked.findNode++;
  else if (message.type === MESSAGE_TYPE.getProviders) asked.getProviders++;
  else return undefined;
  const multiaddrs = node.getMultiaddrs().map(({ bytes: address }) => address);
  const self = encodePeer({ id: node.peerId.toMultihash().bytes, multiaddrs });
  return falseAnswer(message, kind, self, misplaced);
}
