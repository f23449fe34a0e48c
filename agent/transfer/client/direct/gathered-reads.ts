/** Room for the bytes of one hand-over, but the first ones. */
const SLAB_BYTES = 128 * 1024;
/** Buffers that wait for their next use. */
const MAX_FREE = 3;

const EMPTY = Buffer.alloc(0);

/** Where {@link GatheredReads} hand the bytes to. */
export interface GatheredReadsInit {
  /** Takes bytes. Returns whether to continue reading. */
  readonly arrived: (chunk: Buffer) => boolean;
  /** Stops reading, after bytes were taken later than they were read. */
  readonly pause: () => void;
}

/**
 * The buffer of a connection with TLS. Node.js gives each record of 16 KiB by itself, and everything behind it costs the same for a
 * small chunk as for a large one. Records are written one behind the other into one buffer here, and handed over together:
 * when it is full, or the process has read all that there is for now. The bytes are not copied once more.
 */
export class GatheredReads {
  readonly #init: GatheredReadsInit;
  #slab: Buffer = EMPTY;
  /** The bytes that have been read and not handed over are those between the two. */
  #start = 0;
  #end = 0;
  #handOver: NodeJS.Immediate | undefined;
  #isPaused = false;
  readonly #free: Buffer[] = [];
  /** Of each buffer, how often bytes of it were handed over and not {@link release}d. */
  readonly #lent = new WeakMap<ArrayBufferLike, number>();

  constructor(init: GatheredReadsInit) {
    this.#init = init;
  }

  /**
   * Where the next bytes go. Node.js keeps it until it has put bytes there.
   *
   * @param bytes of the buffer, if there is a new one: when the present one is full, or larger. Default: 128 KiB
   */
  room(bytes = SLAB_BYTES): Buffer {
    const isTooLarge = this.#slab.length > bytes;
    if (isTooLarge) this.#free.length = 0;
    if (this.#end === this.#slab.length || isTooLarge) {
      const free = bytes === SLAB_BYTES ? this.#free.pop() : undefined;
      this.#slab = free ?? Buffer.allocUnsafeSlow(bytes);
      [this.#start, this.#end] = [0, 0];
    }
    return this.#slab.subarray(this.#end);
  }

  /** Bytes that were not handed over yet. */
  get pending(): number {
    return this.#end - this.#start;
  }

  /**
   * Bytes are in the {@link room}.
   *
   * @param atOnce whether not to wait for more
   * @returns whether to continue reading
   */
  filled(length: number, atOnce: boolean): boolean {
    this.#end += length;
    if (atOnce || this.#end === this.#slab.length) return this.flush();
    // What came with records that were wanted is decrypted. A reader that has enough would get it beside them, and copy both into one.
    if (this.#isPaused) return false;
    this.#later();
    return true;
  }

  /** The reader wants more. */
  resume(): void {
    this.#isPaused = false;
    if (this.pending > 0) this.#later();
  }

  /**
   * Hands over what there is.
   *
   * @returns whether to continue reading
   */
  flush(): boolean {
    clearImmediate(this.#handOver);
    this.#handOver = undefined;
    if (this.pending === 0) return true;
    const chunk = this.#slab.subarray(this.#start, this.#end);
    this.#start = this.#end;
    this.#lent.set(chunk.buffer, (this.#lent.get(chunk.buffer) ?? 0) + 1);
    const isMore = this.#init.arrived(chunk);
    this.#isPaused = !isMore;
    return isMore;
  }

  /** The reader has no more use for bytes that it got: their memory is read into again. */
  release({ buffer }: Uint8Array): void {
    const lent = this.#lent.get(buffer);
    if (lent === undefined) return;
    this.#lent.set(buffer, lent - 1);
    const isFull = buffer !== this.#slab.buffer && buffer.byteLength === SLAB_BYTES;
    if (lent === 1 && isFull && this.#free.length < MAX_FREE) this.#free.push(Buffer.from(buffer));
  }

  /** Forgets what was not handed over. */
  stop(): void {
    clearImmediate(this.#handOver);
    this.#start = this.#end;
  }

  #later(): void {
    this.#handOver ??= setImmediate(() => {
      if (!this.flush()) this.#init.pause();
    });
  }
}
