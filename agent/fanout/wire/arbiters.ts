import type { Digest } from '../../oci/digest.ts';
import type { ClosestMember, Router } from '../../routing/router.ts';
import { BoundedMap } from '../../timing/bounded-map.ts';
import { Deadline } from '../../timing/deadline.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import { DOWNLOADS_PROTOCOL } from '../question.ts';
import type { Member, Question, Decision } from '../question.ts';
import { firstAnswer } from './first-answer.ts';
import { decodeDecision, encodeQuestion } from './messages.ts';
import { Silences } from './silences.ts';

/** Members closest to a digest among which the arbiters are: some may be nodes of another kind. */
const CANDIDATES = 4;
/** Default of {@link ArbitersInit.giveUpAfterMs}. */
const GIVE_UP_AFTER_MS = 150;
/** How long one question may take in all, in milliseconds. Nothing waits for it for so long, but a report. */
const ASK_MS = 1000;
/**
 * For how long reports go to the arbiter that was found, in milliseconds, and questions when it is not found in time: in a
 * large network that takes round trips.
 */
const FOUND_MS = 2000;
/** Digests whose arbiter is remembered. */
const MAX_FOUND = 1000;

/** The answer when no arbiter has given one. */
const ALONE: Decision = { kind: 'alone', forMs: 0 };

/** Decides on the digests of which this node is the arbiter. */
export interface LocalArbiter {
  answer(from: Member, question: Question): Decision;
}

/** What a question came to: the kind of the answer, or `unanswered`. `no-arbiter`: no member could be one. */
export type QuestionOutcome = Decision['kind'] | 'unanswered' | 'no-arbiter';

/** Measures the questions of this node; reports are not among them. */
interface QuestionObserver {
  /** @param seconds until the answer that counts */
  asked(seconds: number, outcome: QuestionOutcome): void;
}

export interface ArbitersComponents {
  readonly router: Pick<Router, 'closest' | 'ask' | 'self'>;
  readonly arbiter: LocalArbiter;
  readonly observer?: QuestionObserver;
}

/** Options of {@link Arbiters}. */
export interface ArbitersInit {
  /** After this time a node that asks does without an arbiter, in milliseconds; default 150. */
  readonly giveUpAfterMs?: number;
}

interface Found {
  readonly members: readonly ClosestMember[];
  readonly until: number;
}

/** Asks the arbiter of a digest: the closest member that speaks the protocol, or the second closest when that is silent. */
export class Arbiters {
  readonly #components: ArbitersComponents;
  readonly #giveUpAfterMs: number;
  readonly #silences = new Silences();
  readonly #found = new BoundedMap<Digest, Found>(MAX_FOUND);
  /** Look-ups of members that are under way. */
  readonly #lookUps = new BoundedMap<Digest, Promise<readonly ClosestMember[]>>(MAX_FOUND);

  constructor(components: ArbitersComponents, init: ArbitersInit = {}) {
    this.#components = components;
    this.#giveUpAfterMs = init.giveUpAfterMs ?? GIVE_UP_AFTER_MS;
  }

  /**
   * Asks, or reports. It never rejects for the failure of an arbiter: without an answer it resolves with `alone` for 0 ms,
   * a question after 150 ms (up to 300 if this process did not get to run), a report after a second.
   *
   * @throws the signal's reason
   */
  async ask(question: Question, signal: AbortSignal): Promise<Decision> {
    signal.throwIfAborted();
    if (question.state !== 'wants') return await this.#report(question, signal);
    const { decision, outcome, seconds } = await this.#timed(question, signal);
    this.#components.observer?.asked(seconds, outcome);
    return decision;
  }

  /**
   * Asks whom this node can follow, before it offers to fetch. `alone` is not measured: no node fetches yet, and this node asks
   * once more.
   *
   * @throws the signal's reason
   */
  async askToFollow(question: Question, signal: AbortSignal): Promise<Decision> {
    return await this.#askFirst({ ...question, canFetch: false }, ['alone'], signal);
  }

  /**
   * Asks whether this node is the one that takes content from its holder, which `fetch` says then. That is not measured: it does not go
   * to the registry.
   *
   * @throws the signal's reason
   */
  async askToTake(question: Question, signal: AbortSignal): Promise<Decision> {
    return await this.#askFirst(question, ['alone', 'fetch'], signal);
  }

  /** @param unmeasured after these the node may ask once more */
  async #askFirst(
    question: Question,
    unmeasured: readonly QuestionOutcome[],
    signal: AbortSignal,
  ): Promise<Decision> {
    signal.throwIfAborted();
    const { decision, outcome, seconds } = await this.#timed(question, signal);
    if (!unmeasured.includes(outcome)) this.#components.observer?.asked(seconds, outcome);
    return decision;
  }

  async #timed(
    question: Question,
    signal: AbortSignal,
  ): Promise<{ decision: Decision; outcome: QuestionOutcome; seconds: number }> {
    const start = performance.now();
    const answered = await this.#question(question, signal);
    signal.throwIfAborted();
    return { ...answered, seconds: (performance.now() - start) / 1000 };
  }

  async #question(
    question: Question,
    signal: AbortSignal,
  ): Promise<{ decision: Decision; outcome: QuestionOutcome }> {
    const start = performance.now();
    const members = await this.#members(question.digest, this.#giveUpAfterMs, signal);
    // A process that hangs is not to delay each question. One whose answer was late once is asked first: it knows who fetches.
    const [first, second] = lastOf(members, ({ peerId }) => this.#silences.isGone(peerId));
    if (first === undefined) return { decision: ALONE, outcome: 'no-arbiter' };
    const sent = { isSettled: false };
    // The second knows a part of the tree at most: it would name a parent that has children already, and both had half of its link.
    const answered = await firstAnswer(
      () =>
        this.#askOne(first, question, signal).finally(() => {
          sent.isSettled = true;
        }),
      second && (() => this.#askOne(second, question, signal)),
      signal,
      {
        withinMs: this.#giveUpAfterMs - (performance.now() - start),
        asksBoth: this.#silences.isSilent(first.peerId),
      },
    );
    // It was silent for the whole time, so that reports go to the one that has answered, until it answers after all.
    if (!sent.isSettled && !signal.aborted) this.#silences.note(first.peerId);
    return { decision: answered ?? ALONE, outcome: answered?.kind ?? 'unanswered' };
  }

  async #report(question: Question, signal: AbortSignal): Promise<Decision> {
    const { digest } = question;
    const known = this.#recent(digest);
    const members = known.length > 0 ? known : await this.#members(digest, ASK_MS, signal);
    // A lease that the second one gave is renewed there while the first is silent.
    const [first] = lastOf(members, ({ peerId }) => this.#silences.isSilent(peerId));
    if (first === undefined) return ALONE;
    try {
      return await this.#askOne(first, question, signal);
    } catch {
      signal.throwIfAborted();
      this.#found.delete(digest);
      return ALONE;
    }
  }

  /** The members that can be the arbiter: those found before, or none, when it takes too long to find them. */
  async #members(
    digest: Digest,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<readonly ClosestMember[]> {
    using deadline = new Deadline(timeoutMs, signal);
    try {
      return await raceSignal(this.#lookUp(digest), deadline.signal);
    } catch {
      signal.throwIfAborted();
      return this.#recent(digest);
    }
  }

  /** Goes on when its callers have left: the next question needs the members, too. */
  #lookUp(digest: Digest): Promise<readonly ClosestMember[]> {
    const running = this.#lookUps.get(digest);
    if (running !== undefined) return running;
    const begun = this.#find(digest).finally(() => {
      if (this.#lookUps.get(digest) === begun) this.#lookUps.delete(digest);
    });
    this.#lookUps.set(digest, begun);
    return begun;
  }

  async #find(digest: Digest): Promise<readonly ClosestMember[]> {
    const all = await this.#components.router.closest(digest, CANDIDATES);
    // Nothing is known of what a member speaks that this node is not connected with.
    const members = all.filter(({ protocols }) => protocols.includes(DOWNLOADS_PROTOCOL));
    this.#found.set(digest, { members, until: performance.now() + FOUND_MS });
    return members;
  }

  #recent(digest: Digest): readonly ClosestMember[] {
    const found = this.#found.get(digest);
    return found !== undefined && found.until > performance.now() ? found.members : [];
  }

  /** @throws Error when the member does not answer, or not as it should */
  async #askOne(
    { peerId, isSelf }: ClosestMember,
    question: Question,
    signal: AbortSignal,
  ): Promise<Decision> {
    const { router, arbiter } = this.#components;
    if (isSelf) return arbiter.answer(router.self(), question);
    using deadline = new Deadline(ASK_MS, signal);
    try {
      const answer = await router.ask(peerId, encodeQuestion(question), deadline.signal);
      const decision = decodeDecision(answer);
      this.#silences.answered(peerId);
      return decision;
    } catch (error) {
      if (!signal.aborted) this.#silences.note(peerId);
      throw error;
    }
  }
}

/** The same members, those for which it holds after the others. */
function lastOf(
  members: readonly ClosestMember[],
  comesLast: (member: ClosestMember) => boolean,
): readonly ClosestMember[] {
  return [...members.filter((it) => !comesLast(it)), ...members.filter(comesLast)];
}
