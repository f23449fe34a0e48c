import { createHash, type Hash } from 'node:crypto';

import { rangeLength, type ByteRange } from '../../oci/byte-range.ts';

/** Ranges that are remembered for one blob. Of a blob with more of them nothing is known. */
export const MAX_RANGES = 1_000;

/** Bytes of a blob that one peer delivered. */
export interface Share {
  readonly peerId: string;
  readonly range: ByteRange;
}

/** Which peers delivered which bytes of a blob, in one body or in many. */
export class Shares {
  #delivered: Share[] = [];
  #isFull = false;

  /** Adds a range; an empty one adds nothing. */
  add(peerId: string, range: ByteRange): void {
    if (rangeLength(range) <= 0 || this.#isFull) return;
    const last = this.#delivered.at(-1);
    if (last?.peerId === peerId && last.range.end + 1 === range.start) {
      const joined = { start: last.range.start, end: range.end };
      this.#delivered[this.#delivered.length - 1] = { peerId, range: joined };
    } else if (this.#delivered.length < MAX_RANGES) {
      this.#delivered.push({ peerId, range });
    } else {
      this.#isFull = true;
      this.#delivered = [];
    }
  }

  /** The bytes that exactly one peer delivered, in order. Only for these it is certain where they came from. */
  sole(): readonly Share[] {
    const edges = this.#delivered
      .flatMap(({ peerId, range }) => [
        { peerId, at: range.start, change: 1 },
        { peerId, at: range.end + 1, change: -1 },
      ])
      .toSorted((one, other) => one.at - other.at);
    const sole = new Shares();
    const deliverers = new Map<string, number>();
    let start = 0;
    for (const { peerId, at, change } of edges) {
      const [deliverer, ...others] = deliverers.keys();
      if (deliverer !== undefined && others.length === 0)
        sole.add(deliverer, { start, end: at - 1 });
      const count = (deliverers.get(peerId) ?? 0) + change;
      if (count === 0) deliverers.delete(peerId);
      else deliverers.set(peerId, count);
      start = at;
    }
    return sole.#delivered;
  }
}

/** Hashes shares of a blob, whose bytes come one after the other, from the first one on. */
export class ShareHashes {
  readonly #shares: readonly Share[];
  readonly #digests: string[] = [];
  #position = 0;
  #hash: Hash | undefined;

  /** @param shares in order, without overlap */
  constructor(shares: readonly Share[]) {
    this.#shares = shares;
  }

  update(chunk: Uint8Array): void {
    const end = this.#position + chunk.length;
    for (let share; (share = this.#shares[this.#digests.length]) !== undefined;) {
      const { range } = share;
      if (range.start >= end) break;
      this.#hash ??= createHash('sha256');
      const from = Math.max(range.start, this.#position) - this.#position;
      const until = Math.min(range.end + 1, end) - this.#position;
      this.#hash.update(chunk.subarray(from, until));
      if (range.end >= end) break;
      this.#digests.push(this.#hash.digest('hex'));
      this.#hash = undefined;
    }
    this.#position = end;
  }

  /** The digests of the shares, in their order. A share whose bytes are not complete has none. */
  get digests(): readonly string[] {
    return this.#digests;
  }
}

/** What peers delivered of a blob whose bytes are wrong: shares, and the digest of each. */
export interface DeliveredShares {
  readonly shares: readonly Share[];
  readonly digests: readonly string[];
}

/**
 * The peers that delivered wrong bytes.
 *
 * @param right digests of the same shares of the right content
 */
export function deliverersOfWrong(
  { shares, digests }: DeliveredShares,
  right: readonly string[],
): ReadonlySet<string> {
  const wrong = shares.filter((_, index) => {
    const [delivered, expected] = [digests[index], right[index]];
    return delivered !== undefined && expected !== undefined && delivered !== expected;
  });
  return new Set(wrong.map(({ peerId }) => peerId));
}
