import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { TestContext } from 'node:test';

import type { PrivateKey, Stream } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

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
import { kadIdOf } from '../routing/dht/kademlia.ts';
import { loadIdentity } from '../routing/node/identity.ts';
import { createNode, type CreateNode } from '../routing/node/libp2p-node.ts';
import { until } from './conformance/router.ts';
import { TestNetwork } from './test-network.ts';

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

/**
 * For tests: a network of real routers, some of which answer questions as the test says. The first one is in the other half
 * of the key space than all others: for three nodes each order of those, and the first one before or behind them, is that of
 * some digest.
 */
export class ArbiterNetwork {
  readonly #network = new TestNetwork();

  constructor(t: TestContext) {
    t.after(() => this.#network.stop());
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
    const privateKey = await this.#newKey();
    const { routers } = this.#network;
    const router = await this.#network.start(routers, {}, { questions, privateKey });
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

  /** Starts a node that does as the test says with the streams of questions; one that knows no questions without that. */
  async startHostile(serve?: (stream: Stream) => void): Promise<Libp2pRouter> {
    const create: CreateNode = async (init) => {
      const made = await createNode(init);
      if (serve !== undefined) await made.node.handle(DOWNLOADS_PROTOCOL, serve);
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
    await until(async () => {
      for (const router of routers) {
        const members = await router.closest('key', 20);
        if (members.length !== routers.length) return false;
        const mute = silent.map(({ peerId }) => peerId);
        const speak = members.filter(({ peerId }) => !mute.includes(peerId));
        if (!speak.every(({ protocols }) => protocols.includes(DOWNLOADS_PROTOCOL))) {
          if (!mute.includes(router.peerId)) return false;
        }
        if (!members.every(({ origins }) => origins.length > 0)) return false;
      }
      return true;
    });
  }
}

/** For tests: a key whose node is in this half of the key space. */
export async function keyInHalf(half: 0 | 1): Promise<PrivateKey> {
  for (;;) {
    const key = await loadIdentity();
    if ((kadIdOf(peerIdFromPrivateKey(key))[0] ?? 0) >> 7 === half) return key;
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
