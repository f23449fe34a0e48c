import type { Follower } from './follower.ts';

/** Time over which arriving bytes are counted: a follower may be behind by as much. In milliseconds. */
const RECENT_MS = 300;

/** How long all followers have kept up before one more comes, in milliseconds. */
const KEPT_UP_MS = 250;

/** How long several followers fall behind before one of them is ended, in milliseconds. */
const BEHIND_MS = 500;

/** How far a download had come at a time. */
interface Sample {
  readonly at: number;
  readonly offset: number;
}

/** The followers of one digest, in the order in which they came. Times are in milliseconds of a clock that never jumps. */
export class FollowerGroup {
  readonly #members: Follower[] = [];
  /** Those that came to find out whether the link has room for one more. */
  readonly #probes = new Set<Follower>();
  /** Of the last {@link RECENT_MS}, and the one before. */
  #samples: Sample[] = [];
  #lastCameAt = 0;

  get size(): number {
    return this.#members.length;
  }

  get members(): readonly Follower[] {
    return this.#members;
  }

  /**
   * @param isProbe whether it came because there seemed to be room for it. Another one came because the arbiter had no better
   *   place, and would find none if it was ended
   */
  add(follower: Follower, now: number, isProbe: boolean): void {
    this.#members.push(follower);
    if (isProbe) this.#probes.add(follower);
    this.#lastCameAt = now;
  }

  /** @returns whether it was there */
  delete(follower: Follower): boolean {
    const index = this.#members.indexOf(follower);
    if (index >= 0) this.#members.splice(index, 1);
    this.#probes.delete(follower);
    return index >= 0;
  }

  /** Whether all have kept up for a while since the last one came. */
  keepsUp(now: number): boolean {
    return this.#members.every(
      ({ keptUpSince }) =>
        keptUpSince !== undefined && now - Math.max(keptUpSince, this.#lastCameAt) >= KEPT_UP_MS,
    );
  }

  /** To be called before the download is asked how far it has come; see {@link check}. */
  mark(): void {
    for (const follower of this.#members) follower.mark();
  }

  /**
   * Looks how far the followers are behind. Ends those that have got more than is there, because the download has begun
   * anew.
   *
   * @param offset bytes of the download that are there
   * @returns the follower to end so that the others keep up: the last probe, while several fall behind
   */
  check(offset: number, now: number): Follower | undefined {
    const recent = this.#recent(offset, now);
    for (const follower of [...this.#members]) {
      if (follower.isBeyond(offset)) follower.end(new Error('The download has begun anew'));
      else follower.check(offset, recent, now);
    }
    const behind = this.#members.filter((follower) => follower.isBehind(BEHIND_MS, now));
    // One alone has a slow link of its own. It holds up no other: each reads the file for itself.
    if (behind.length < 2) return undefined;
    for (const follower of behind) follower.forgive();
    return this.#members.findLast((follower) => this.#probes.has(follower));
  }

  /** Bytes that have arrived of late. */
  #recent(offset: number, now: number): number {
    if (offset < (this.#samples.at(-1)?.offset ?? 0)) this.#samples = [];
    const before = this.#samples.findLastIndex(({ at }) => at <= now - RECENT_MS);
    this.#samples = this.#samples.slice(Math.max(0, before));
    this.#samples.push({ at: now, offset });
    return offset - (this.#samples[0]?.offset ?? offset);
  }
}
