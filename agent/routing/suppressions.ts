/** How long a provider is not named for a key that it turned out not to have. */
export const SUPPRESSION_MS = 60_000;
/** Pairs remembered; the oldest is forgotten first. */
export const MAX_SUPPRESSIONS = 10_000;

/**
 * Remembers providers that did not have what their record says. Other nodes go on naming them until the
 * record expires; here they are left out until they place the record anew with us, or a minute has passed.
 */
export class Suppressions {
  readonly #until = new Map<string, number>();
  readonly #now: () => number;

  /** @param now milliseconds on a clock that never jumps */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  add(recordKey: string, peerId: string): void {
    const pair = toPair(recordKey, peerId);
    this.#until.delete(pair);
    this.#until.set(pair, this.#now() + SUPPRESSION_MS);
    const [oldest] = this.#until.keys();
    if (this.#until.size > MAX_SUPPRESSIONS && oldest !== undefined) this.#until.delete(oldest);
  }

  lift(recordKey: string, peerId: string): void {
    if (this.#until.size > 0) this.#until.delete(toPair(recordKey, peerId));
  }

  has(recordKey: string, peerId: string): boolean {
    if (this.#until.size === 0) return false;
    const until = this.#until.get(toPair(recordKey, peerId));
    return until !== undefined && until > this.#now();
  }
}

function toPair(recordKey: string, peerId: string): string {
  return `${recordKey}/${peerId}`;
}
