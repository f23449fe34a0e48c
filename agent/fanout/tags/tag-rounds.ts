import type { Descriptor } from '../../oci/descriptor.ts';
import { BoundedMap } from '../../timing/bounded-map.ts';
import type { TagDecision, TagQuestion } from './tag-question.ts';

/** Default of {@link TagRoundsInit.leaseMs}. */
const LEASE_MS = 400;
/** Default of {@link TagRoundsInit.roundMs}. */
const ROUND_MS = 2_000;
/** Default of {@link TagRoundsInit.toldMs}. */
const TOLD_MS = 1_000;
/** How often a lease is renewed before it would end. */
const RENEWALS = 3;
/** Nodes that may fail in a round, one after the other, before each asks for itself. */
const MAX_FAILURES = 2;
/** Shortest and longest time after which a node that waits asks again, in milliseconds. */
const AGAIN_MS = { min: 25, max: 250 } as const;
/** Nodes that wait for one tag in each further millisecond: a thousand ask 4,000 times a second. */
const WAITING_PER_MS = 4;
/** Tags of which a registry is asked at once; some 200 bytes each. */
const MAX_ROUNDS = 5_000;
/** Nodes that wait, for all tags together; some 300 bytes each. */
const MAX_WAITING = 20_000;
/** How often what has expired is forgotten, in milliseconds. */
const CLEAR_MS = 1_000;

/** Options of {@link TagRounds}. */
export interface TagRoundsInit {
  /** How long a lease lasts that is not renewed, in milliseconds: as long as a node that has died holds up others. Default 400. */
  readonly leaseMs?: number;
  /** How long a round may take, in milliseconds. Those that wait have given up by then. Default 2,000. */
  readonly roundMs?: number;
  /** How long those that have waited are told the answer, in milliseconds. Default 1,000. */
  readonly toldMs?: number;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
}

/** The nodes that ask what one tag means at the same moment. */
interface Round {
  readonly began: number;
  /** The resolve that has the lease; absent when it has failed. */
  asker?: string;
  /** Until when the lease is the asker's, or another node that can ask may come. */
  until: number;
  failures: number;
  waiting: number;
  /** `alone`: each is to ask for itself. */
  outcome?: Descriptor | 'alone';
  ended: number;
}

/**
 * Coordinates the nodes that ask a registry what a tag means at the same moment: one asks, and those that come while it does
 * are told. It asks no registry itself, and it keeps an answer for those alone that came before it: what a moved tag points to
 * is seen at once. Pure: it takes the clock.
 */
export class TagRounds {
  readonly #leaseMs: number;
  readonly #roundMs: number;
  readonly #toldMs: number;
  readonly #now: () => number;
  readonly #running = new BoundedMap<string, Round>(MAX_ROUNDS);
  readonly #waiting = new BoundedMap<string, Round>(MAX_WAITING);
  #cleared = 0;

  constructor({
    leaseMs = LEASE_MS,
    roundMs = ROUND_MS,
    toldMs = TOLD_MS,
    now = () => performance.now(),
  }: TagRoundsInit = {}) {
    this.#leaseMs = leaseMs;
    this.#roundMs = roundMs;
    this.#toldMs = toldMs;
    this.#now = now;
  }

  /** @param from peer ID of the node that asks or reports */
  answer(from: string, question: TagQuestion): TagDecision {
    this.#clear();
    const { tag, state, id, manifest } = question;
    const resolve = `${from} ${id}`;
    if (state === 'wants') return this.#wants(question, resolve);
    const round = this.#round(tag);
    // What a node says counts while it has the lease.
    if (round?.asker !== resolve) return { kind: 'alone' };
    if (state === 'asks') return this.#lease(tag, round, resolve);
    if (state === 'failed') this.#failed(tag, round);
    else this.#end(tag, round, (state === 'knows' ? manifest : undefined) ?? 'alone');
    return { kind: 'alone' };
  }

  /** How many tags nodes ask of, and how many of these wait; some of them may have left. */
  get size(): { readonly running: number; readonly waiting: number } {
    return { running: this.#running.size, waiting: this.#waiting.size };
  }

  #wants({ tag, canAsk }: TagQuestion, resolve: string): TagDecision {
    const waiter = `${tag} ${resolve}`;
    const joined = this.#waiting.get(waiter);
    if (joined?.outcome !== undefined) {
      this.#waiting.delete(waiter);
      const { outcome, ended } = joined;
      if (outcome === 'alone') return { kind: 'alone' };
      if (this.#now() - ended < this.#toldMs) return { kind: 'known', manifest: outcome };
    }
    const round = this.#round(tag);
    if (round === undefined) {
      return canAsk ? this.#lease(tag, this.#begin(tag), resolve) : { kind: 'alone' };
    }
    if (round.asker === resolve) return this.#lease(tag, round, resolve);
    if (round.asker !== undefined && round.until <= this.#now()) this.#failed(tag, round);
    if (round.outcome !== undefined) return { kind: 'alone' };
    if (round.asker === undefined) {
      if (canAsk) return this.#lease(tag, round, resolve);
      if (round.until <= this.#now()) return { kind: 'alone' };
    }
    if (joined !== round) round.waiting += 1;
    this.#waiting.set(waiter, round);
    const againMs = Math.min(AGAIN_MS.max, AGAIN_MS.min + round.waiting / WAITING_PER_MS);
    return { kind: 'wait', againMs };
  }

  #round(tag: string): Round | undefined {
    const round = this.#running.get(tag);
    return round !== undefined && this.#now() - round.began < this.#roundMs ? round : undefined;
  }

  #begin(tag: string): Round {
    const now = this.#now();
    const round = { began: now, until: now, failures: 0, waiting: 0, ended: 0 };
    this.#running.set(tag, round);
    return round;
  }

  #lease(tag: string, round: Round, resolve: string): TagDecision {
    round.asker = resolve;
    round.until = this.#now() + this.#leaseMs;
    this.#waiting.delete(`${tag} ${resolve}`);
    return { kind: 'ask', againMs: this.#leaseMs / RENEWALS };
  }

  #failed(tag: string, round: Round): void {
    delete round.asker;
    // Those that wait ask again within this time, and one of them gets the lease.
    round.until = this.#now() + AGAIN_MS.max;
    round.failures += 1;
    if (round.failures > MAX_FAILURES) this.#end(tag, round, 'alone');
  }

  #end(tag: string, round: Round, outcome: Descriptor | 'alone'): void {
    round.outcome = outcome;
    round.ended = this.#now();
    if (this.#running.get(tag) === round) this.#running.delete(tag);
  }

  #clear(): void {
    const now = this.#now();
    if (now - this.#cleared < CLEAR_MS) return;
    this.#cleared = now;
    for (const all of [this.#running, this.#waiting]) {
      for (const [key, round] of all.entries()) {
        if (now - round.began >= this.#roundMs + this.#toldMs) all.delete(key);
      }
    }
  }
}
