import type { Digest } from '../../../oci/digest.ts';
import { BLOCK_BYTES, Blocks } from './blocks.ts';
import { Tail, type TailChunk } from './tail.ts';

/**
 * Bytes of one tail: the 1 MiB that containerd collects before it writes, and what the system holds for containerd while
 * that writes.
 */
const TAIL_BYTES = 4 * 1024 * 1024;

/** Bytes of all tails together. */
const MAX_BYTES = 32 * 1024 * 1024;

/** How long the bytes are kept after the body has ended, in milliseconds: containerd writes them meanwhile. */
const KEEP_MS = 2_000;

/** Options of {@link Tails}. */
export interface TailsInit {
  /** Bytes of one tail. Default: {@link TAIL_BYTES}. */
  readonly tailBytes?: number;
  /** Bytes of all tails together. Default: {@link MAX_BYTES}. */
  readonly maxBytes?: number;
  /** Default: {@link KEEP_MS}. */
  readonly keepMs?: number;
}

/** A tail as one follower reads it. To be disposed of when the follower leaves. */
export interface TailReader extends Disposable {
  /** Offset behind the last byte that is there; 0 when there is none. */
  readonly end: number;
  /** Whether the tail has gone back, so that this reader gets no more of it. */
  readonly isOver: boolean;
  /** See {@link Tail.read}. */
  read(offset: number, end: number): TailChunk | undefined;
  /** See {@link Tail.change}. */
  change(): Promise<undefined>;
}

/** One body as the source of a tail. To be disposed of when it ends. */
interface TailFeed extends Disposable {
  readonly isWanted: boolean;
  append(offset: number, bytes: Uint8Array): void;
}

/** The tail of a digest, while there are followers. */
interface Followed {
  readonly tail: Tail;
  readers: number;
  /** The body whose bytes it gets. Others of the same content may be elsewhere in it. */
  feed: TailFeed | undefined;
  /** Whether it counts among those that have memory. */
  hasMemory: boolean;
  /** Runs when the body has ended. */
  timer: NodeJS.Timeout | undefined;
}

/**
 * What this node has forwarded to its containerd last, for its followers: containerd writes in steps of 1 MiB, and each
 * follower would wait for a whole step. There is a tail only while a digest has followers, and as long as there is memory.
 */
export class Tails {
  readonly #tailBytes: number;
  readonly #maxTails: number;
  readonly #keepMs: number;
  readonly #blocks: Blocks;
  readonly #followed = new Map<Digest, Followed>();
  #withMemory = 0;

  constructor({ tailBytes = TAIL_BYTES, maxBytes = MAX_BYTES, keepMs = KEEP_MS }: TailsInit = {}) {
    this.#tailBytes = tailBytes;
    this.#maxTails = Math.floor(maxBytes / tailBytes);
    this.#keepMs = keepMs;
    this.#blocks = new Blocks({ max: Math.floor(maxBytes / BLOCK_BYTES) });
  }

  /** Bytes of memory that are in use. */
  get bytes(): number {
    return this.#blocks.used * BLOCK_BYTES;
  }

  /** Begins with a body that is forwarded to the client of the store. */
  begin(digest: Digest): TailFeed {
    const wants = (): Followed | undefined => {
      const followed = this.#followed.get(digest);
      if (followed === undefined) return undefined;
      if (followed.feed !== undefined && followed.feed !== feed) return undefined;
      return followed.hasMemory || this.#withMemory < this.#maxTails ? followed : undefined;
    };
    const feed: TailFeed = {
      get isWanted() {
        return wants() !== undefined;
      },
      append: (offset, bytes) => {
        const followed = wants();
        if (followed !== undefined) this.#append(followed, feed, offset, bytes);
      },
      [Symbol.dispose]: () => {
        const followed = this.#followed.get(digest);
        if (followed?.feed === feed) this.#ended(followed);
      },
    };
    return feed;
  }

  /** Begins with a follower. */
  follow(digest: Digest): TailReader {
    const followed = this.#followed.get(digest) ?? this.#create(digest);
    const { tail } = followed;
    followed.readers += 1;
    const { restarts } = tail;
    let isOpen = true;
    return {
      get end() {
        return tail.isEmpty ? 0 : tail.end;
      },
      get isOver() {
        return tail.restarts !== restarts;
      },
      read: (offset, end) => (tail.restarts === restarts ? tail.read(offset, end) : undefined),
      change: () => tail.change(),
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        followed.readers -= 1;
        if (followed.readers > 0) return;
        this.#clear(followed);
        this.#followed.delete(digest);
      },
    };
  }

  #create(digest: Digest): Followed {
    const tail = new Tail(this.#blocks, { maxBytes: this.#tailBytes });
    const followed = { tail, readers: 0, feed: undefined, hasMemory: false, timer: undefined };
    this.#followed.set(digest, followed);
    return followed;
  }

  #append(followed: Followed, feed: TailFeed, offset: number, bytes: Uint8Array): void {
    clearTimeout(followed.timer);
    if (!followed.hasMemory) this.#withMemory += 1;
    followed.hasMemory = true;
    followed.feed = feed;
    followed.tail.append(offset, bytes);
  }

  #ended(followed: Followed): void {
    followed.feed = undefined;
    followed.tail.flush();
    followed.timer = setTimeout(() => {
      this.#clear(followed);
    }, this.#keepMs).unref();
  }

  #clear(followed: Followed): void {
    clearTimeout(followed.timer);
    if (followed.hasMemory) this.#withMemory -= 1;
    followed.hasMemory = false;
    followed.tail.clear();
  }
}
