/** Most subjects remembered; beyond it the oldest is forgotten and may be told once more. */
const MAX_SUBJECTS = 10_000;

/** Remembers what has been told, so that a fault seen at each comparison fills no log. */
export class LogOnce {
  readonly #told = new Set<string>();

  /** Whether this is the first time that the subject comes up. */
  first(subject: string): boolean {
    if (this.#told.has(subject)) return false;
    if (this.#told.size >= MAX_SUBJECTS) {
      const [oldest] = this.#told;
      if (oldest !== undefined) this.#told.delete(oldest);
    }
    this.#told.add(subject);
    return true;
  }
}
