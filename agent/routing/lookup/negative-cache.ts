import { ExpiringSet } from '../../timing/expiring-set.ts';

/** How long a provider is not named for a key that it turned out not to have. */
export const NEGATIVE_TTL_MS = 60_000;
/** Pairs remembered; the oldest is forgotten first. */
export const MAX_NEGATIVE_ENTRIES = 10_000;

/**
 * Remembers providers that did not have what their record promised. Other nodes name them until the record expires.
 * This node leaves them out until they send the record to it again, or a minute has passed.
 */
export class NegativeCache {
  readonly #pairs: ExpiringSet;

  /** @param now milliseconds on a clock that never jumps */
  constructor(now?: () => number) {
    this.#pairs = new ExpiringSet(MAX_NEGATIVE_ENTRIES, now);
  }

  add(recordKey: string, peerId: string): void {
    this.#pairs.add(toPair(recordKey, peerId), NEGATIVE_TTL_MS);
  }

  delete(recordKey: string, peerId: string): void {
    if (!this.#pairs.empty) this.#pairs.delete(toPair(recordKey, peerId));
  }

  has(recordKey: string, peerId: string): boolean {
    return !this.#pairs.empty && this.#pairs.has(toPair(recordKey, peerId));
  }
}

function toPair(recordKey: string, peerId: string): string {
  return `${recordKey}/${peerId}`;
}
