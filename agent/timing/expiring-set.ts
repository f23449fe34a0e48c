import { BoundedMap } from './bounded-map.ts';

/** Remembers strings for a while each; a bounded number of them, of which the oldest is forgotten first. */
export class ExpiringSet {
  readonly #until: BoundedMap<string, number>;
  readonly #now: () => number;

  /**
   * @param max number of strings
   * @param now milliseconds on a clock that never jumps
   */
  constructor(max: number, now: () => number = () => performance.now()) {
    this.#until = new BoundedMap(max);
    this.#now = now;
  }

  /** Remembers the string from now on for this time, as the newest. */
  add(value: string, milliseconds: number): void {
    this.#until.set(value, this.#now() + milliseconds);
  }

  delete(value: string): void {
    this.#until.delete(value);
  }

  has(value: string): boolean {
    const until = this.#until.get(value);
    return until !== undefined && until > this.#now();
  }

  /** Whether it is empty, so that callers need not build a string to look up. */
  get empty(): boolean {
    return this.#until.size === 0;
  }
}
