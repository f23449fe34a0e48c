/** Bytes of a {@link Block}: about as many as a network card hands over at once. */
export const BLOCK_BYTES = 64 * 1024;

/** Memory of a tail. Its bytes are written once, and read by any number of readers. */
export interface Block {
  readonly bytes: Buffer;
  /** Reads of it that have not ended. */
  readers: number;
}

/** Options of {@link Blocks}. */
export interface BlocksInit {
  /** Blocks that are in use at once. */
  readonly max: number;
}

/** The memory of all tails. Blocks are used again, since the collector of V8 frees memory outside its heap late. */
export class Blocks {
  readonly #max: number;
  readonly #free: Buffer[] = [];
  #used = 0;

  constructor({ max }: BlocksInit) {
    this.#max = max;
  }

  /** Blocks that are in use. */
  get used(): number {
    return this.#used;
  }

  /** @returns `undefined` when all are in use */
  take(): Block | undefined {
    if (this.#used >= this.#max) return undefined;
    this.#used += 1;
    return { bytes: this.#free.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES), readers: 0 };
  }

  /** Takes a block back, from which no further read begins. */
  giveBack({ bytes, readers }: Block): void {
    this.#used -= 1;
    // The system may still send from it. Then the memory is the collector's, and is never written again.
    if (readers === 0) this.#free.push(bytes);
    if (this.#used === 0) this.#free.length = 0;
  }
}
