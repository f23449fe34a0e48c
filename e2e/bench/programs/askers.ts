/**
 * Peers that ask the arbiter of an agent, each over a router of its own, as agents do. They ask at fixed times, however long
 * the answers take: a question that is asked late counts from when it was due. What an agent does to find the arbiter, and its
 * wait for a second one, is left out: here all askers share the processors with the arbiter.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { DOWNLOADS_PROTOCOL, type Question } from '../../../agent/fanout/question.ts';
import {
  decodeDecision,
  encodeDecision,
  encodeQuestion,
  MAX_MESSAGE_BYTES,
} from '../../../agent/fanout/wire/messages.ts';
import { parseDigest } from '../../../agent/oci/digest.ts';
import { StaticBootstrapper } from '../../../agent/routing/bootstrap/static-bootstrapper.ts';
import { Libp2pRouter } from '../../../agent/routing/libp2p-router.ts';
import { loadIdentity } from '../../../agent/routing/node/identity.ts';
import { quiet } from '../../../agent/testing/quiet.ts';
import { memberOf } from '../../harness/swarm.ts';
import { questionAt, type AskOrder, type AskResult } from '../fan-out-parts/asking.ts';
import { serve } from './serve.ts';

const FIRST_PORT = 5001;
const REGISTRY_PORT = 5000;
const SIZE = 100_000_000;
/** Only who answers questions can ask them. These peers are never asked. */
const NO_ANSWER = encodeDecision({ kind: 'alone', forMs: 0 });

const routers: Libp2pRouter[] = [];

serve({
  /** Starts so many peers that join the one at the address. Gives their peer IDs. */
  start: async (argument) => {
    const { count, address, swarmKeyFile } = argument as {
      count: number;
      address: string;
      swarmKeyFile: string;
    };
    for (let index = 0; index < count; index++) {
      routers.push(await startRouter(FIRST_PORT + index, address, swarmKeyFile));
    }
    return routers.map(({ peerId }) => peerId);
  },
  /** The fewest members that one of the peers knows to answer questions. */
  known: async () => {
    const counts = routers.map(async (router) => {
      const members = await router.closest(randomDigest(), 1000);
      return members.filter(
        ({ isSelf, protocols }) => !isSelf && protocols.includes(DOWNLOADS_PROTOCOL),
      ).length;
    });
    return Math.min(...(await Promise.all(counts)));
  },
  /** The member that is none of these peers. */
  arbiter: async (peerIds) => {
    const members = (await routers[0]?.closest(randomDigest(), 1000)) ?? [];
    return members.find(({ peerId }) => !(peerIds as readonly string[]).includes(peerId))?.peerId;
  },
  ask: (argument) => askAll(argument as AskOrder),
});

async function startRouter(
  port: number,
  address: string,
  swarmKeyFile: string,
): Promise<Libp2pRouter> {
  const router = new Libp2pRouter(
    {
      privateKey: await loadIdentity(),
      bootstrapper: new StaticBootstrapper([address]),
      questions: {
        protocol: DOWNLOADS_PROTOCOL,
        maxBytes: MAX_MESSAGE_BYTES,
        answer: () => NO_ANSWER,
      },
      logger: quiet,
      ...memberOf(swarmKeyFile),
    },
    { listen: [`/ip4/0.0.0.0/tcp/${port}`], registryPort: REGISTRY_PORT },
  );
  await router.start();
  return router;
}

async function askAll(order: AskOrder): Promise<AskResult> {
  const { asked, arbiter, peers, first, startsAt, questionsPerSecond, questions } = order;
  const fromDue: number[] = [];
  const fromAsked: number[] = [];
  const wants: number[] = [];
  const answers: Record<string, number> = {};
  /** Whom each peer follows, by content. */
  const parents = routers.map(() => new Map<number, string>());
  const { signal } = new AbortController();
  const open = new Set<Promise<void>>();
  const ask = async (index: number, due: number): Promise<void> => {
    const { peer, content, state, part } = questionAt(asked, index, peers);
    const router = routers[peer - first];
    const digest = parseDigest(order.digests[content] ?? '');
    if (router === undefined || digest === undefined) throw new Error('the order is wrong');
    const parent = parents[peer - first]?.get(content);
    const question: Question = {
      digest,
      // One that was told to fetch has no parent.
      state: state === 'following' && parent === undefined ? 'fetching' : state,
      offset: Math.floor(part * SIZE),
      size: SIZE,
      ...(parent !== undefined && state === 'following' && { parent }),
      failed: [],
      canFetch: true,
      children: 0,
      isRoomy: true,
      zone: '',
    };
    const sent = performance.now();
    const answer = await router.ask(arbiter, encodeQuestion(question), signal);
    const decision = decodeDecision(answer);
    const now = performance.now();
    if (decision.kind === 'follow') parents[peer - first]?.set(content, decision.parent.peerId);
    if (index < order.countedFrom) return;
    answers[decision.kind] = (answers[decision.kind] ?? 0) + 1;
    fromDue.push(now - due);
    fromAsked.push(now - sent);
    if (state === 'wants') wants.push(now - due);
  };
  const start = startsAt - performance.timeOrigin;
  for (let index = 0; index < questions; index++) {
    const at = index % peers;
    if (at < first || at >= first + routers.length) continue;
    const due = start + (index / questionsPerSecond) * 1000;
    const wait = due - performance.now();
    if (wait > 0) await sleep(wait);
    const asking = ask(index, due);
    open.add(asking);
    void asking.finally(() => open.delete(asking));
  }
  await Promise.all(open);
  return { fromDue, fromAsked, wants, answers };
}

function randomDigest(): string {
  return `sha256:${randomBytes(32).toString('hex')}`;
}
