import { LRUCache } from 'lru-cache';

/** Maximum number of subjects remembered; a forgotten one may be logged once more. */
const MAX_SUBJECTS = 10_000;

/** Remembers what has been logged, so that a fault that each comparison finds again does not fill the log. */
export class LogOnce {
  // Bounded by size: by `max` it would allocate for all subjects at once, and there are few.
  readonly #logged = new LRUCache<string, true>({
    maxSize: MAX_SUBJECTS,
    sizeCalculation: () => 1,
  });

  /** Whether the subject was not passed before. */
  isFirst(subject: string): boolean {
    if (this.#logged.has(subject)) return false;
    this.#logged.set(subject, true);
    return true;
  }
}
