import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import type { Stream } from '@libp2p/interface';

import { SharedTagChecks, type SharedTagChecksInit } from '../fanout/tags/shared-tag-checks.ts';
import { TagCoordinators } from '../fanout/tags/tag-coordinators.ts';
import { encodeTagDecision, MAX_TAG_MESSAGE_BYTES } from '../fanout/tags/tag-messages.ts';
import {
  TAG_CHECKS_PROTOCOL,
  type TagDecision,
  type TagQuestion,
} from '../fanout/tags/tag-question.ts';
import { TagRoundAnswers } from '../fanout/tags/tag-round-answers.ts';
import { TagRounds, type TagRoundsInit } from '../fanout/tags/tag-rounds.ts';
import { FrameReader } from '../routing/dht/frame-reader.ts';
import { frame } from '../routing/dht/frames.ts';
import type { Libp2pRouter } from '../routing/libp2p-router.ts';
import { QuestionNetwork } from './question-network.ts';

/** Longer than an agent waits: what a test is about is not how busy this machine is. */
const LONG_MS = 20_000;

/** A node that asks what tags mean together with the others. */
export interface TagNode {
  readonly router: Libp2pRouter;
  readonly rounds: TagRounds;
  readonly coordinators: TagCoordinators;
  /** Waits for 20 s. */
  readonly checks: SharedTagChecks;
  /** What its coordinator was asked and told, in their order. */
  readonly asked: TagQuestion[];
}

/** Times of a node, see {@link LONG_MS}. */
type TagNodeInit = SharedTagChecksInit & Pick<TagRoundsInit, 'leaseMs'>;

/** For tests: a {@link QuestionNetwork} whose nodes share their checks of tags. */
export class TagNetwork extends QuestionNetwork {
  constructor(t: TestContext) {
    super(t, TAG_CHECKS_PROTOCOL);
  }

  /** Starts a node. */
  async start({ leaseMs = LONG_MS, waitMs = LONG_MS }: TagNodeInit = {}): Promise<TagNode> {
    const asked: TagQuestion[] = [];
    const rounds = new TagRounds({ leaseMs, roundMs: 3 * LONG_MS, toldMs: LONG_MS });
    const noted = {
      answer: (from: string, question: TagQuestion): TagDecision => {
        asked.push(question);
        return rounds.answer(from, question);
      },
    };
    const router = await this.startRouter(new TagRoundAnswers(noted));
    const coordinators = new TagCoordinators({ router, rounds: noted }, { giveUpAfterMs: LONG_MS });
    const checks = new SharedTagChecks({ coordinators }, { waitMs });
    return { router, rounds, coordinators, checks, asked };
  }

  /** Starts nodes that all know each other. */
  async startMany(count: number, init: TagNodeInit = {}): Promise<readonly TagNode[]> {
    const nodes: TagNode[] = [];
    while (nodes.length < count) nodes.push(await this.start(init));
    await this.meet();
    return nodes;
  }
}

/** For tests: the name of a tag to which these routers are the closest, in this order. */
export async function tagNear(...order: readonly Libp2pRouter[]): Promise<string> {
  const [first] = order;
  assert.ok(first);
  for (let at = 0; at < 10_000; at++) {
    const name = `registry.example/app:${at}`;
    const members = await first.closest(name, order.length);
    if (members.every(({ peerId }, place) => peerId === order[place]?.peerId)) return name;
  }
  throw new Error('no such tag');
}

/** For tests: answers every question with this, or with what it returns; `count` has how many there were. */
export function answering(answer: TagDecision | Uint8Array | (() => TagDecision)): {
  readonly serve: (stream: Stream) => void;
  count: number;
} {
  const encode = (said: TagDecision | Uint8Array): Uint8Array =>
    'kind' in said ? encodeTagDecision(said) : said;
  const liar = {
    count: 0,
    serve: (stream: Stream): void => {
      void (async () => {
        using reader = new FrameReader(stream, MAX_TAG_MESSAGE_BYTES);
        while ((await reader.next()) !== undefined) {
          liar.count += 1;
          stream.send(frame(encode(typeof answer === 'function' ? answer() : answer)));
        }
      })().catch(() => undefined);
    },
  };
  return liar;
}
