import type { Provider } from '../../routing/router.ts';
import type { PeerScoreboard } from './peer-scoreboard.ts';

/** Another peer is clearly faster when it delivers this many times the rate of the present one. */
const CLEARLY_FASTER = 4;

/** What a peer that this node has not measured lately is taken to deliver, in bytes a second. */
const UNKNOWN_RATE = 256 * 1024;

/** Switches of one body. Each costs what is on its way, and one more peer that may have sent wrong bytes. */
const MAX_SWITCHES = 3;

/** With less left than this at the present rate, in milliseconds, no other peer is worth it. */
const MIN_LEFT_MS = 5_000;

/**
 * Decides whether a body goes on from another peer because that is clearly faster, by what this node saw lately. A body
 * does not return to a peer that it left in this way, unless no other is there.
 */
export class PeerSwitching {
  readonly #scoreboard: Pick<PeerScoreboard, 'record' | 'rateOf'>;
  readonly #key: string;
  readonly #left = new Set<string>();
  #search: { readonly peerId: string; readonly rate: number } | undefined;

  constructor(scoreboard: Pick<PeerScoreboard, 'record' | 'rateOf'>, key: string) {
    this.#scoreboard = scoreboard;
    this.#key = key;
  }

  /**
   * Whether a faster peer is worth a search.
   *
   * @param rate of the present peer, in bytes a second
   * @param left bytes that are still to come
   */
  isWorthwhile(rate: number, left: number): boolean {
    return this.#left.size < MAX_SWITCHES && left * 1000 > rate * MIN_LEFT_MS;
  }

  /** Until it is disposed of, only peers are asked that are clearly faster than the present one. */
  searchFaster({ peerId }: Provider, rate: number): Disposable {
    this.#search = { peerId, rate };
    return {
      [Symbol.dispose]: () => {
        this.#search = undefined;
      },
    };
  }

  /** Whether the peer must not be asked, because of a search for a faster one. */
  excludes(peerId: string): boolean {
    if (this.#search === undefined) return false;
    if (peerId === this.#search.peerId || this.#left.has(peerId)) return true;
    const rate = this.#scoreboard.rateOf(peerId, UNKNOWN_RATE);
    return rate < this.#search.rate * CLEARLY_FASTER;
  }

  /** The body has left the peer for a faster one. Other requests for the content ask other peers first for a while. */
  left(provider: Provider, rate: number): void {
    this.#left.add(provider.peerId);
    this.#scoreboard.record(provider, this.#key, { kind: 'slow', rate });
  }
}
