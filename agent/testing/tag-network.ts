import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import type { PrivateKey, Stream } from '@libp2p/interface';

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
import { createNode, type CreateNode } from '../routing/node/libp2p-node.ts';
import { keyInHalf } from './arbiter-network.ts';
import { until } from './conformance/router.ts';
import { TestNetwork } from './test-network.ts';

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

/**
 * For tests: a network of real routers whose nodes share their checks of tags. The first one is in the other half of the key
 * space than all others: for three nodes each order of those, and the first one before or behind them, is that of some tag.
 */
export class TagNetwork {
  readonly #network = new TestNetwork();

  constructor(t: TestContext) {
    t.after(() => this.#network.stop());
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
    const { routers } = this.#network;
    const questions = new TagRoundAnswers(noted);
    const privateKey = await this.#newKey();
    const router = await this.#network.start(routers, {}, { questions, privateKey });
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

  /** Starts a node that does as the test says with the streams of questions; one that knows no questions without that. */
  async startHostile(serve?: (stream: Stream) => void): Promise<Libp2pRouter> {
    const create: CreateNode = async (init) => {
      const made = await createNode(init);
      if (serve !== undefined) await made.node.handle(TAG_CHECKS_PROTOCOL, serve);
      return made;
    };
    const privateKey = await this.#newKey();
    return this.#network.start(this.#network.routers, {}, { createNode: create, privateKey });
  }

  async #newKey(): Promise<PrivateKey> {
    return await keyInHalf(this.#network.routers.length === 0 ? 0 : 1);
  }

  /** Waits until all routers know of each other which protocols they speak. */
  async meet(...silent: readonly Libp2pRouter[]): Promise<void> {
    const { routers } = this.#network;
    const mute = silent.map(({ peerId }) => peerId);
    await until(async () => {
      for (const router of routers) {
        const members = await router.closest('key', 20);
        if (members.length !== routers.length) return false;
        const speak = members.filter(({ peerId }) => !mute.includes(peerId));
        const isMute = mute.includes(router.peerId);
        if (!isMute && !speak.every(({ protocols }) => protocols.includes(TAG_CHECKS_PROTOCOL)))
          return false;
        if (!members.every(({ origins }) => origins.length > 0)) return false;
      }
      return true;
    });
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

/** For tests: answers every question with this; `count` has how many there were. */
export function answering(answer: TagDecision | Uint8Array): {
  readonly serve: (stream: Stream) => void;
  count: number;
} {
  const bytes = 'kind' in answer ? encodeTagDecision(answer) : answer;
  const liar = {
    count: 0,
    serve: (stream: Stream): void => {
      void (async () => {
        using reader = new FrameReader(stream, MAX_TAG_MESSAGE_BYTES);
        while ((await reader.next()) !== undefined) {
          liar.count += 1;
          stream.send(frame(bytes));
        }
      })().catch(() => undefined);
    },
  };
  return liar;
}
