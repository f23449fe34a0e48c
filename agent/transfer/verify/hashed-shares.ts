import { createHash, type Hash } from 'node:crypto';

import type { ByteRange } from '../../oci/byte-range.ts';
import { MAX_RANGES, type DeliveredShares, type Share } from './shares.ts';

/** A share whose bytes are arriving. */
interface OpenShare {
  readonly peerId: string;
  readonly range: ByteRange;
  readonly hash: Hash;
}

/**
 * Hashes in passing what some peers deliver of a body, each on its own. It costs a second hash of these bytes, so it is
 * done only for peers that took part in a wrong blob before.
 */
export class HashedShares {
  readonly #shares: Share[] = [];
  readonly #digests: string[] = [];
  #open: OpenShare | undefined;

  /** What has been hashed so far. */
  get delivered(): DeliveredShares {
    return { shares: this.#shares, digests: this.#digests };
  }

  /**
   * Forwards the body unchanged.
   *
   * @param body from the first byte of the blob on
   * @param deliverer tells who sent the chunk that was read last; `undefined` for a peer that is not of interest
   */
  async *through(
    body: AsyncIterable<Uint8Array>,
    deliverer: () => string | undefined,
  ): AsyncGenerator<Uint8Array> {
    let position = 0;
    try {
      for await (const chunk of body) {
        this.#add(deliverer(), position, chunk);
        position += chunk.length;
        yield chunk;
      }
    } finally {
      this.#close();
    }
  }

  #add(peerId: string | undefined, start: number, chunk: Uint8Array): void {
    if (this.#open?.peerId !== peerId) this.#close();
    if (peerId === undefined || this.#shares.length >= MAX_RANGES) return;
    const before = this.#open ?? { range: { start, end: start - 1 }, hash: createHash('sha256') };
    before.hash.update(chunk);
    const range = { start: before.range.start, end: start + chunk.length - 1 };
    this.#open = { peerId, range, hash: before.hash };
  }

  #close(): void {
    if (this.#open === undefined) return;
    const { peerId, range, hash } = this.#open;
    this.#open = undefined;
    this.#shares.push({ peerId, range });
    this.#digests.push(hash.digest('hex'));
  }
}
