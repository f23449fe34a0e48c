import type { Digest } from '../../oci/digest.ts';
import { BoundedMap } from '../../timing/bounded-map.ts';
import { MAX_FAILED } from '../question.ts';

/** How long a peer that did not serve this node is named to the arbiter, in milliseconds. */
const FAILED_MS = 15_000;
/** Digests of which failures are remembered. */
const MAX_DIGESTS = 1000;

/** Failures of one peer after which it is not asked any more. */
const MAX_FAILURES = 2;

/** How often a peer has failed, and until when that counts. */
interface Failures {
  readonly count: number;
  readonly until: number;
}

/** The peers that did not serve this node, by digest: the arbiter is to name others. */
export class FailedPeers {
  readonly #peers = new BoundedMap<Digest, ReadonlyMap<string, Failures>>(MAX_DIGESTS);
  readonly #now: () => number;

  /** @param now milliseconds on a clock that never jumps */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  add(digest: Digest, peerId: string): void {
    this.#note(digest, peerId, 1);
  }

  /** The peer has not answered yet: it is named to the arbiter, and may be asked as before. */
  silent(digest: Digest, peerId: string): void {
    this.#note(digest, peerId, 0);
  }

  #note(digest: Digest, peerId: string, failures: number): void {
    const all = this.#valid(digest);
    const others = all.filter(([other]) => other !== peerId);
    const before = all.find(([other]) => other === peerId)?.[1].count ?? 0;
    const latest = [peerId, { count: before + failures, until: this.#now() + FAILED_MS }] as const;
    this.#peers.set(digest, new Map([latest, ...others].slice(0, MAX_FAILED)));
  }

  /** The latest first, at most {@link MAX_FAILED}. */
  of(digest: Digest): readonly string[] {
    return this.#valid(digest).map(([peerId]) => peerId);
  }

  /**
   * Whether the peer is not asked again, whatever the arbiter says. One that has failed once may be the right one all the same:
   * when a fetcher stalls, all below it fall silent at once, and keep their places.
   */
  isOut(digest: Digest, peerId: string): boolean {
    const found = this.#valid(digest).find(([other]) => other === peerId);
    return (found?.[1].count ?? 0) >= MAX_FAILURES;
  }

  #valid(digest: Digest): (readonly [string, Failures])[] {
    const now = this.#now();
    return [...(this.#peers.get(digest) ?? [])].filter(([, { until }]) => until > now);
  }
}
