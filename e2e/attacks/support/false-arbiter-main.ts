/**
 * Program of a `FalseArbiter`: `node false-arbiter-main.ts ROUTER-PORT REGISTRY-PORT CONTROL-PORT PEER...`. A member of the DHT
 * that does there what it should. It answers questions about downloads as it is ordered. Its registry takes connections,
 * and says nothing or drips.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { json } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Stream } from '@libp2p/interface';

import { DOWNLOADS_PROTOCOL, type Member, type Question } from '../../../agent/fanout/question.ts';
import { encodeQuestion, MAX_MESSAGE_BYTES } from '../../../agent/fanout/wire/messages.ts';
import { parseDigest } from '../../../agent/oci/digest.ts';
import { StaticBootstrapper } from '../../../agent/routing/bootstrap/static-bootstrapper.ts';
import { FrameReader } from '../../../agent/routing/dht/frame-reader.ts';
import { frame } from '../../../agent/routing/dht/frames.ts';
import { Libp2pRouter } from '../../../agent/routing/libp2p-router.ts';
import { loadIdentity } from '../../../agent/routing/node/identity.ts';
import { createNode, type RoutingNode } from '../../../agent/routing/node/libp2p-node.ts';
import { quiet } from '../../../agent/testing/quiet.ts';
import { SignedHeads } from '../../harness/signed-heads.ts';
import { memberOf } from '../../harness/swarm.ts';
import { DrippingRegistry } from './dripping-registry.ts';
import type { Lie, Order } from './false-arbiter.ts';
import { falseDecision } from './false-decision.ts';

/** Time between two rounds of questions, in milliseconds. */
const ROUND_MS = 100;

const [routerPort = '', registryPort = '', controlPort, ...peers] = process.argv.slice(2);

let lie: Lie = 'fetch';
let order: Order = {};
let asked = 0;
let sent = 0;
let made: RoutingNode | undefined;

const router = new Libp2pRouter(
  {
    privateKey: await loadIdentity(),
    bootstrapper: new StaticBootstrapper(peers),
    logger: quiet,
    ...memberOf(),
    createNode: async (init) => {
      const result = await createNode(init);
      made = result.node;
      await made.handle(DOWNLOADS_PROTOCOL, (stream, { remotePeer }) => {
        answerAll(stream, remotePeer.toString()).catch((error: unknown) => {
          stream.abort(error instanceof Error ? error : new Error('cannot serve'));
        });
      });
      return result;
    },
  },
  { listen: [`/ip4/0.0.0.0/tcp/${routerPort}`], registryPort: Number(registryPort) },
);
await router.start();
while (router.status().peers < peers.length) await sleep(50);

const registry = new DrippingRegistry(new SignedHeads(router, memberOf()), Number(registryPort));

createServer((req, res) => {
  json(req).then(
    (body) => {
      order = body as Order;
      lie = order.lie ?? lie;
      registry.layout = order.drips;
      res.end(JSON.stringify({ asked, sent }));
      asked = 0;
      sent = 0;
    },
    (error: unknown) => res.writeHead(500).end(String(error)),
  );
}).listen(Number(controlPort));

for (;;) {
  await Promise.all([sleep(ROUND_MS), ...(made?.getPeers() ?? []).map(bother)]);
}

async function answerAll(stream: Stream, asker: string): Promise<void> {
  using reader = new FrameReader(stream, MAX_MESSAGE_BYTES);
  while ((await reader.next()) !== undefined) {
    asked += 1;
    const { peerId, origins } = router.self();
    const self: Member = { peerId, origins: [...origins] };
    const answer = falseDecision(lie, asker, self);
    if (answer !== undefined) stream.send(frame(answer));
  }
}

/** Asks and reports what it was ordered to, for one round, and does not wait for the answers. */
async function bother(peer: ReturnType<RoutingNode['getPeers']>[number]): Promise<void> {
  const { questionsPerSecond = 0, claims = [] } = order;
  const questions = [
    ...Array.from({ length: (questionsPerSecond * ROUND_MS) / 1000 }, () => {
      return question(`sha256:${randomBytes(32).toString('hex')}`, 'wants');
    }),
    ...claims.map((digest) => question(digest, 'held')),
  ];
  if (questions.length === 0) return;
  try {
    const stream = await made?.dialProtocol(peer, DOWNLOADS_PROTOCOL);
    if (stream === undefined) return;
    // At once: a frame of each would keep this process from its rate.
    stream.send(Buffer.concat(questions.map((each) => frame(encodeQuestion(each)))));
    sent += questions.length;
    await sleep(ROUND_MS);
    stream.abort(new Error('enough'));
  } catch {
    // The node has ended the stream, as it should: the next round opens another.
  }
}

function question(text: string, state: Question['state']): Question {
  const digest = parseDigest(text);
  if (digest === undefined) throw new Error(`${text} is no digest`);
  return {
    digest,
    state,
    offset: 0,
    failed: [],
    canFetch: true,
    children: 0,
    isRoomy: true,
    zone: '',
  };
}
