import { createHash } from 'node:crypto';

import { generateKeyPairFromSeed } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';

/** Another value draws other numbers everywhere: so a change is tried on many networks. */
const RUN = process.env['PEERGLASS_TEST_SEED'] ?? '';

/**
 * For tests of estimates and look-ups: numbers that look random, and are the same in each run. What fails in one network of
 * 300 is found by who changes the code and tries other seeds, not by a later run of unchanged code.
 */
export class Seeded {
  #state: number;

  /** @param seed two of the same seed draw the same */
  constructor(seed: string) {
    this.#state = createHash('sha256').update(`${RUN}/${seed}`).digest().readInt32BE();
  }

  /** A point of the key space: 32 bits. By mulberry32, which is fast and even enough for tests. */
  point(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  /** From 0 up to, not including, 1. */
  readonly number = (): number => this.point() / 2 ** 32;

  /** 32 bytes. */
  bytes(): Buffer {
    const bytes = Buffer.alloc(32);
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32BE(this.point(), at);
    return bytes;
  }

  /** The key of a node. */
  async privateKey(): Promise<PrivateKey> {
    return generateKeyPairFromSeed('Ed25519', this.bytes());
  }

  /** The same values, in another order. */
  shuffled<T>(values: readonly T[]): T[] {
    return values
      .map((value) => ({ value, at: this.number() }))
      .sort((a, b) => a.at - b.at)
      .map(({ value }) => value);
  }
}
