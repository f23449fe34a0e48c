import { BoundedMap } from '../../timing/bounded-map.ts';

/** How long a member counts as silent that did not answer, in milliseconds, unless it does. */
const SILENT_MS = 5000;
/** Members remembered as silent. */
const MAX_SILENT = 1000;
/** Silences in a row after which a member counts as gone. */
const GONE_AFTER = 3;
/** Silences that follow within so many milliseconds are one: a node asks for all layers of an image at once. */
const SAME_MS = 1000;

interface Silence {
  readonly count: number;
  /** When it was counted last, and when it was noticed last. */
  readonly countedAt: number;
  readonly noticedAt: number;
}

/**
 * Members that did not answer of late. On a link that is full an answer may be late, and to leave its arbiter out would cost the
 * cluster a second download. A process that hangs is silent again and again.
 */
export class Silences {
  readonly #silences = new BoundedMap<string, Silence>(MAX_SILENT);
  readonly #now: () => number;

  /** @param now milliseconds on a clock that never jumps */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The member has not answered in time. */
  note(peerId: string): void {
    const now = this.#now();
    const before = this.#recent(peerId);
    const isSame = before !== undefined && now - before.countedAt < SAME_MS;
    const count = (before?.count ?? 0) + (isSame ? 0 : 1);
    const countedAt = isSame ? before.countedAt : now;
    this.#silences.set(peerId, { count, countedAt, noticedAt: now });
  }

  answered(peerId: string): void {
    this.#silences.delete(peerId);
  }

  /** Whether it did not answer the last time, and that is not long ago. */
  isSilent(peerId: string): boolean {
    return this.#recent(peerId) !== undefined;
  }

  /** Whether it was silent so often that an answer is not to be expected. */
  isGone(peerId: string): boolean {
    return (this.#recent(peerId)?.count ?? 0) >= GONE_AFTER;
  }

  #recent(peerId: string): Silence | undefined {
    const silence = this.#silences.get(peerId);
    return silence !== undefined && this.#now() - silence.noticedAt < SILENT_MS
      ? silence
      : undefined;
  }
}
