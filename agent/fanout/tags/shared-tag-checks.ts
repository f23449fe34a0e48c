import { createHash, randomInt } from 'node:crypto';

import { LOCAL_ORIGIN } from '../../content/content-source.ts';
import type { CheckedTag, SharedCheckInit, SharedChecks } from '../../content/registry-tags.ts';
import type { Digest } from '../../oci/digest.ts';
import { BoundedMap } from '../../timing/bounded-map.ts';
import { Deadline } from '../../timing/deadline.ts';
import { isAborted, pause } from '../../timing/pause.ts';
import type { Coordinated, TagCoordinators } from './tag-coordinators.ts';
import type { TagDecision, TagQuestion } from './tag-question.ts';
import { WaitBudget } from './wait-budget.ts';

/** Default of {@link SharedTagChecksInit.waitMs}. */
const WAIT_MS = 900;
/** Shortest and longest time between two questions of a resolve, in milliseconds, whatever the coordinator says. */
const AGAIN_MS = { min: 20, max: 250 } as const;
/** How long a report may take, in milliseconds. */
const REPORT_MS = 1_000;
/** Tags whose last answer from other nodes is remembered; some 300 bytes each. */
const MAX_NAMED = 1_000;

export interface SharedTagChecksComponents {
  readonly coordinators: Pick<TagCoordinators, 'ask' | 'askAgain'>;
}

/** Options of {@link SharedTagChecks}. */
export interface SharedTagChecksInit {
  /**
   * How long a resolve waits for the answer that another node gets, in milliseconds; default 900. What resolves of one tag wait
   * in vain in half a minute is no longer either, all together.
   */
  readonly waitMs?: number;
}

/**
 * Has one of the nodes ask a registry that want to know at the same moment what a tag means. In doubt a node asks itself: what
 * others can cost it is {@link SharedTagChecksInit.waitMs}, and for a tag that once in half a minute, and one failed pull
 * where they name what is nowhere.
 */
export class SharedTagChecks implements SharedChecks {
  readonly #coordinators: SharedTagChecksComponents['coordinators'];
  readonly #waitMs: number;
  readonly #budget: WaitBudget;
  /** The digest that other nodes named last, by the name of the tag. */
  readonly #named = new BoundedMap<string, Digest>(MAX_NAMED);

  constructor(
    { coordinators }: SharedTagChecksComponents,
    { waitMs = WAIT_MS }: SharedTagChecksInit = {},
  ) {
    this.#coordinators = coordinators;
    this.#waitMs = waitMs;
    this.#budget = new WaitBudget(waitMs);
  }

  /** As {@link SharedChecks.check}. */
  async check(name: string, init: SharedCheckInit, signal: AbortSignal): Promise<CheckedTag> {
    const waitMs = this.#budget.left(name);
    // A timer may fire a little early.
    if (waitMs <= AGAIN_MS.min) return { ...(await init.ask(signal)), isTold: false };
    const question: TagQuestion = {
      tag: createHash('sha256').update(name).digest('hex'),
      state: 'wants',
      id: randomInt(2 ** 32),
      canAsk: init.canAsk,
    };
    const start = performance.now();
    let asked = await this.#coordinators.ask(name, question, signal);
    const hasWaited = asked?.decision.kind === 'wait';
    while (asked?.decision.kind === 'wait') {
      asked = await this.#askLater(asked, question, { start, waitMs }, signal);
    }
    if (asked?.decision.kind === 'known') {
      const { decision, member } = asked;
      const [origin = LOCAL_ORIGIN] = member.isSelf ? [] : member.origins;
      this.#budget.clear(name);
      this.#named.set(name, decision.manifest.digest);
      return { descriptor: decision.manifest, origin, isTold: true };
    }
    if (hasWaited) this.#budget.spend(name, performance.now() - start);
    if (asked?.decision.kind === 'ask') return await this.#askForAll(question, asked, init, signal);
    return { ...(await init.ask(signal)), isTold: false };
  }

  /** As {@link SharedChecks.doubt}. */
  doubt(digest: Digest): void {
    for (const [name, named] of this.#named.entries()) {
      if (named !== digest) continue;
      this.#named.delete(name);
      this.#budget.spend(name, this.#waitMs);
    }
  }

  /** The next answer to a resolve that waits; undefined when there is none in the time that is left. */
  async #askLater(
    { member, decision }: Coordinated,
    question: TagQuestion,
    { start, waitMs }: { readonly start: number; readonly waitMs: number },
    signal: AbortSignal,
  ): Promise<Coordinated | undefined> {
    const elapsedMs = performance.now() - start;
    const rest = waitMs - elapsedMs;
    if (rest <= 0) return undefined;
    using deadline = new Deadline(rest, signal);
    await pause(pauseOf(decision, elapsedMs / 8), deadline.signal);
    signal.throwIfAborted();
    if (isAborted(deadline.signal)) return undefined;
    try {
      const next = await this.#coordinators.askAgain(member, question, deadline.signal);
      return next && { kind: next.kind, decision: next, member };
    } catch {
      signal.throwIfAborted();
      return undefined;
    }
  }

  /** Asks the registry with the lease, and tells the coordinator what came of it. */
  async #askForAll(
    question: TagQuestion,
    asked: Coordinated,
    { ask, isFinal }: SharedCheckInit,
    signal: AbortSignal,
  ): Promise<CheckedTag> {
    const asking = new AbortController();
    void this.#renew(question, asked, asking.signal);
    try {
      const manifest = await ask(signal);
      void this.#report({ ...question, state: 'knows', manifest: manifest.descriptor }, asked);
      return { ...manifest, isTold: false };
    } catch (error) {
      const state = !signal.aborted && isFinal(error) ? 'refused' : 'failed';
      void this.#report({ ...question, state }, asked);
      throw error;
    } finally {
      asking.abort();
    }
  }

  async #renew(
    question: TagQuestion,
    { decision, member }: Coordinated,
    signal: AbortSignal,
  ): Promise<void> {
    let lease: TagDecision | undefined = decision;
    while (lease?.kind === 'ask') {
      await pause(pauseOf(lease), signal);
      if (isAborted(signal)) return;
      const renewal = { ...question, state: 'asks' } as const;
      lease = await this.#coordinators
        .askAgain(member, renewal, signal)
        .catch((): undefined => undefined);
    }
  }

  /** Never rejects: those that wait ask themselves when it does not arrive. */
  async #report(report: TagQuestion, { member }: Coordinated): Promise<void> {
    using deadline = new Deadline(REPORT_MS);
    await this.#coordinators
      .askAgain(member, report, deadline.signal)
      .catch((): undefined => undefined);
  }
}

/** When to ask again, in milliseconds: what a member says of that is bounded. */
function pauseOf(decision: TagDecision, minimum = 0): number {
  const againMs = 'againMs' in decision ? decision.againMs : 0;
  return Math.min(AGAIN_MS.max, Math.max(AGAIN_MS.min, minimum, againMs));
}
