import { MAX_PROBES, PROBE_MS, PROBE_PAUSE_MS } from './bounds.ts';
import type { MemberState } from './member-state.ts';

interface Probe {
  readonly parent: MemberState;
  /** Children of the parent with the newcomer. */
  readonly children: number;
  readonly since: number;
}

/**
 * Newcomers below parents that have children already. Each is a probe: where links are as fast as the upstream registry, it
 * halves the rate of all below the parent until the parent ends it. So there is one at a time first, twice as many
 * after each that succeeds, and none for a while after one that fails.
 */
export class Probing {
  /** Newcomer -> its probe. Insertion order is the order of time. */
  readonly #open = new Map<MemberState, Probe>();
  #window = 1;
  #pausedUntil = -Infinity;
  #pauseMs = PROBE_PAUSE_MS;

  /** Whether a parent with children may get one more now. */
  isAllowed(now: number): boolean {
    for (const [newcomer, { since }] of this.#open) {
      if (now - since <= PROBE_MS) break;
      this.#open.delete(newcomer);
    }
    return now >= this.#pausedUntil && this.#open.size < this.#window;
  }

  /** Whether links carry more than one child as far as known: a probe has succeeded since the last failure. */
  get isProven(): boolean {
    return this.#window > 1;
  }

  begin(newcomer: MemberState, parent: MemberState, now: number): void {
    this.#open.set(newcomer, { parent, children: parent.expected, since: now });
  }

  /** The newcomer asks again: the parent did not serve it as fast as its other children. */
  failed(newcomer: MemberState, now: number): void {
    if (!this.#open.delete(newcomer)) return;
    this.#window = 1;
    this.#pausedUntil = now + this.#pauseMs;
    this.#pauseMs = Math.min(this.#pauseMs * 2, 12 * PROBE_PAUSE_MS);
  }

  /** A parent has reported. It has room for another child beside the newcomer: the probe has succeeded. */
  reported(parent: MemberState): void {
    if (!parent.isRoomy || this.#open.size === 0) return;
    for (const [newcomer, probe] of this.#open) {
      if (probe.parent !== parent || parent.expected < probe.children) continue;
      this.#open.delete(newcomer);
      this.#window = Math.min(this.#window * 2, MAX_PROBES);
      this.#pauseMs = PROBE_PAUSE_MS;
    }
  }

  /** Forgets a member that is gone, without an outcome. */
  forget(member: MemberState): void {
    this.#open.delete(member);
  }
}
