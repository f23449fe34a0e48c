import { BLOCK_BYTES, type Block, type Blocks } from './blocks.ts';

/**
 * How long fewer bytes than a block wait for more before readers are woken, in milliseconds. A body often comes in chunks
 * of a few KiB, and each write to each follower costs as much as for many KiB.
 */
const GATHER_MS = 1;

/** Bytes of a tail that lie in one block. */
export interface TailChunk extends Disposable {
  /** Stay as they are until the chunk is disposed of, and for ever when it is not. */
  readonly bytes: Buffer;
}

/** Options of {@link Tail}. */
export interface TailInit {
  /** Bytes that are kept at most; one block or more. */
  readonly maxBytes: number;
}

/**
 * The last bytes of a body that was forwarded, at their offsets in the content. The oldest make room for new ones. What
 * is read has been appended at that very offset, and nothing between has been left out.
 */
export class Tail {
  readonly #pool: Blocks;
  readonly #maxBlocks: number;
  /** All full, except the last one. */
  readonly #blocks: Block[] = [];
  #start = 0;
  #end = 0;
  #restarts = 0;
  #change: PromiseWithResolvers<undefined> | undefined;
  /** The end when readers were woken the last time. */
  #wokenAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(pool: Blocks, { maxBytes }: TailInit) {
    this.#pool = pool;
    this.#maxBlocks = Math.floor(maxBytes / BLOCK_BYTES);
  }

  /** Offset of the first byte; that of the end when it is empty. */
  get start(): number {
    return this.#start;
  }

  /** Offset behind the last byte. */
  get end(): number {
    return this.#end;
  }

  /** How often it has gone back. What a reader has got before may differ from what comes now. */
  get restarts(): number {
    return this.#restarts;
  }

  get isEmpty(): boolean {
    return this.#start === this.#end;
  }

  /**
   * Appends a copy of bytes. Those that it has already are left out. Where they begin elsewhere, or differ from those, it
   * begins anew with them. Without memory it becomes empty.
   *
   * @param offset of the first of them
   */
  append(offset: number, bytes: Uint8Array): void {
    let rest = bytes;
    if (offset !== this.#end) {
      const known = this.#overlap(offset, bytes);
      if (known === 0) this.#reset(offset);
      rest = bytes.subarray(known);
    }
    while (rest.length > 0) {
      const used = this.#end - this.#start - (this.#blocks.length - 1) * BLOCK_BYTES;
      const hasRoom = this.#blocks.length > 0 && used < BLOCK_BYTES;
      const block = hasRoom ? this.#blocks.at(-1) : this.#add();
      if (block === undefined) {
        this.#reset(offset + bytes.length);
        break;
      }
      const at = hasRoom ? used : 0;
      const part = rest.subarray(0, BLOCK_BYTES - at);
      block.bytes.set(part, at);
      this.#end += part.length;
      rest = rest.subarray(part.length);
    }
    if (this.#end - this.#wokenAt >= BLOCK_BYTES) this.flush();
    else
      this.#timer ??= setTimeout(() => {
        this.flush();
      }, GATHER_MS);
  }

  /** Wakes the readers now, since no more bytes come for a while. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#wokenAt = this.#end;
    this.#change?.resolve(undefined);
    this.#change = undefined;
  }

  /**
   * The bytes from `offset` on, as far as they lie in one block.
   *
   * @param end offset behind the last byte that is wanted
   * @returns `undefined` when the byte at `offset` is not there
   */
  read(offset: number, end: number): TailChunk | undefined {
    if (offset < this.#start || offset >= this.#end || offset >= end) return undefined;
    const at = (offset - this.#start) % BLOCK_BYTES;
    const block = this.#blocks[Math.floor((offset - this.#start) / BLOCK_BYTES)];
    if (block === undefined) return undefined;
    const length = Math.min(BLOCK_BYTES - at, this.#end - offset, end - offset);
    block.readers += 1;
    return {
      bytes: block.bytes.subarray(at, at + length),
      [Symbol.dispose]: () => {
        block.readers -= 1;
      },
    };
  }

  /**
   * Resolves when bytes have been appended, within {@link GATHER_MS}, or it has become empty. To be called when there are
   * no bytes to read.
   */
  change(): Promise<undefined> {
    this.#change ??= Promise.withResolvers();
    return this.#change.promise;
  }

  /** Gives all memory back. */
  clear(): void {
    this.#reset(0);
    this.flush();
  }

  /** Number of the first of these bytes that are there already; 0 when they do not continue or differ from what is there. */
  #overlap(offset: number, bytes: Uint8Array): number {
    if (offset < this.#start || offset > this.#end) return 0;
    const end = Math.min(this.#end, offset + bytes.length);
    for (let at = offset; at < end;) {
      const chunk = this.read(at, end);
      if (chunk === undefined) return 0;
      const { length } = chunk.bytes;
      chunk[Symbol.dispose]();
      if (!chunk.bytes.equals(bytes.subarray(at - offset, at - offset + length))) return 0;
      at += length;
    }
    return end - offset;
  }

  #add(): Block | undefined {
    if (this.#blocks.length >= this.#maxBlocks) this.#dropFirst();
    let block = this.#pool.take();
    while (block === undefined && this.#blocks.length > 0) {
      this.#dropFirst();
      block = this.#pool.take();
    }
    if (block !== undefined) this.#blocks.push(block);
    return block;
  }

  /** Only called when all blocks are full. */
  #dropFirst(): void {
    const block = this.#blocks.shift();
    if (block === undefined) return;
    this.#pool.giveBack(block);
    this.#start += BLOCK_BYTES;
  }

  #reset(offset: number): void {
    if (offset < this.#end) this.#restarts += 1;
    this.#wokenAt = offset;
    for (const block of this.#blocks.splice(0)) this.#pool.giveBack(block);
    this.#start = offset;
    this.#end = offset;
  }
}
