import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { TestContext } from 'node:test';

import {
  DOWNLOADS_PROTOCOL,
  type Member,
  type Question,
  type Decision,
} from '../fanout/question.ts';
import { ArbiterAnswers } from '../fanout/wire/arbiter-answers.ts';
import { Arbiters, type QuestionOutcome } from '../fanout/wire/arbiters.ts';
import { MAX_MESSAGE_BYTES } from '../fanout/wire/messages.ts';
import { parseDigest, type Digest } from '../oci/digest.ts';
import type { Libp2pRouter } from '../routing/libp2p-router.ts';
import { QuestionNetwork } from './question-network.ts';

/** Longer than an agent waits: what a test is about is not how busy this machine is. */
export const GIVE_UP_AFTER_MS = 5000;

/** A node that asks arbiters, and answers for them with what the test says. */
export interface ArbiterNode {
  readonly router: Libp2pRouter;
  readonly arbiters: Arbiters;
  /** What its arbiter was asked, and by which node. */
  readonly asked: { readonly from: Member; readonly question: Question }[];
  /** What its own questions came to. */
  readonly outcomes: QuestionOutcome[];
  /** What its arbiter answers; `go-on` at first. */
  decision: Decision;
}

/** For tests: a {@link QuestionNetwork} whose nodes answer for arbiters as the test says. */
export class ArbiterNetwork extends QuestionNetwork {
  constructor(t: TestContext) {
    super(t, DOWNLOADS_PROTOCOL);
  }

  /** Starts a node that works. */
  async start(): Promise<ArbiterNode> {
    const asked: ArbiterNode['asked'] = [];
    const outcomes: QuestionOutcome[] = [];
    const arbiter = {
      answer: (from: Member, question: Question): Decision => {
        asked.push({ from, question });
        return node.decision;
      },
    };
    const questions = {
      protocol: DOWNLOADS_PROTOCOL,
      maxBytes: MAX_MESSAGE_BYTES,
      answer: (from: string, message: Uint8Array) => answers.answer(from, message),
    };
    const router = await this.startRouter(questions);
    const answers = new ArbiterAnswers({ router, arbiter });
    const observer = {
      asked: (_: number, outcome: QuestionOutcome) => {
        outcomes.push(outcome);
      },
    };
    const arbiters = new Arbiters(
      { router, arbiter, observer },
      { giveUpAfterMs: GIVE_UP_AFTER_MS },
    );
    const node: ArbiterNode = {
      router,
      arbiters,
      asked,
      outcomes,
      decision: { kind: 'go-on', renewMs: 250 },
    };
    return node;
  }
}

/** For tests: a digest to which these routers are the closest, in this order. */
export async function digestNear(...order: readonly Libp2pRouter[]): Promise<Digest> {
  const [first] = order;
  assert.ok(first);
  for (let at = 0; at < 10_000; at++) {
    const digest = parseDigest(`sha256:${createHash('sha256').update(String(at)).digest('hex')}`);
    assert.ok(digest);
    const members = await first.closest(digest, order.length);
    if (members.every(({ peerId }, place) => peerId === order[place]?.peerId)) return digest;
  }
  throw new Error('no such digest');
}
