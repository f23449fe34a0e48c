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

/**
 * Bytes from the beginning of a body that are kept before a follower has come: until containerd has written its first step, a
 * follower would find nothing in the file, and its link would stand idle for that time. Later it finds enough there.
 */
const EARLY_BYTES = 2 * 1024 * 1024;

/** How long the bytes are kept after the body has ended, in milliseconds: containerd writes them meanwhile. */
const KEEP_MS = 2_000;

/** Options of {@link Tails}. */
export interface TailsInit {
  /** Bytes of one tail. Default: {@link TAIL_BYTES}. */
  readonly tailBytes?: number;
  /** Bytes of all tails together. Default: {@link MAX_BYTES}. */
  readonly maxBytes?: number;
  /** Default: {@link EARLY_BYTES}. */
  readonly earlyBytes?: number;
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

/** The tail of a digest, while there are followers, or its body has only begun. */
interface Followed {
  readonly digest: Digest;
  readonly tail: Tail;
  readers: number;
  /** The body whose bytes it gets. Others of the same content may be elsewhere in it. */
  feed: TailFeed | undefined;
  /** Whether it counts among those that have memory. */
  hasMemory: boolean;
  /** Whether its body has got no further than the bytes that are kept without followers. */
  isEarly: boolean;
  /** Runs when the body has ended. */
  timer: NodeJS.Timeout | undefined;
}

/**
 * What this node has forwarded to its containerd last, for its followers: containerd writes in steps of 1 MiB, and each
 * follower would wait for a whole step. There is a tail only while a digest has followers or its body has only begun, and as long
 * as there is memory. That of a digest with followers comes first.
 */
export class Tails {
  readonly #tailBytes: number;
  readonly #maxTails: number;
  readonly #earlyBytes: number;
  readonly #keepMs: number;
  readonly #blocks: Blocks;
  readonly #followed = new Map<Digest, Followed>();
  #withMemory = 0;

  constructor(init: TailsInit = {}) {
    const { tailBytes = TAIL_BYTES, maxBytes = MAX_BYTES } = init;
    const { earlyBytes = EARLY_BYTES, keepMs = KEEP_MS } = init;
    this.#tailBytes = tailBytes;
    this.#earlyBytes = earlyBytes;
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
    let early = this.#earlyBytes;
    const isWanted = (): boolean => {
      const followed = this.#followed.get(digest);
      if (followed?.feed !== undefined && followed.feed !== feed) return false;
      const isFollowed = followed !== undefined && followed.readers > 0;
      if (!isFollowed && early <= 0) return false;
      return followed?.hasMemory === true || this.#hasMemory(isFollowed);
    };
    const feed: TailFeed = {
      get isWanted() {
        return isWanted();
      },
      append: (offset, bytes) => {
        if (!isWanted()) return;
        const followed = this.#followed.get(digest) ?? this.#create(digest);
        this.#append(followed, feed, offset, bytes);
        early -= bytes.length;
        followed.isEarly = early > 0;
        this.#removeUnused(followed);
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
        this.#removeUnused(followed);
      },
    };
  }

  #create(digest: Digest): Followed {
    const tail = new Tail(this.#blocks, { maxBytes: this.#tailBytes });
    const none = { readers: 0, feed: undefined, hasMemory: false, timer: undefined };
    const followed = { digest, tail, isEarly: false, ...none };
    this.#followed.set(digest, followed);
    return followed;
  }

  #append(followed: Followed, feed: TailFeed, offset: number, bytes: Uint8Array): void {
    clearTimeout(followed.timer);
    if (!followed.hasMemory) {
      if (this.#withMemory >= this.#maxTails) this.#removeEarly();
      this.#withMemory += 1;
    }
    followed.hasMemory = true;
    followed.feed = feed;
    followed.tail.append(offset, bytes);
  }

  #ended(followed: Followed): void {
    followed.feed = undefined;
    followed.tail.flush();
    followed.timer = setTimeout(() => {
      if (followed.readers === 0) this.#remove(followed);
      else this.#clear(followed);
    }, this.#keepMs).unref();
  }

  /** Whether one more tail may have memory. */
  #hasMemory(isFollowed: boolean): boolean {
    return this.#withMemory < this.#maxTails || (isFollowed && this.#early() !== undefined);
  }

  /** A tail with memory and without followers. */
  #early(): Followed | undefined {
    for (const followed of this.#followed.values()) {
      if (followed.readers === 0 && followed.hasMemory) return followed;
    }
    return undefined;
  }

  #removeEarly(): void {
    const early = this.#early();
    if (early !== undefined) this.#remove(early);
  }

  /** A next follower may come soon, as long as the body has only begun. */
  #removeUnused(followed: Followed): void {
    if (followed.readers === 0 && !followed.isEarly) this.#remove(followed);
  }

  #remove(followed: Followed): void {
    this.#clear(followed);
    this.#followed.delete(followed.digest);
  }

  #clear(followed: Followed): void {
    clearTimeout(followed.timer);
    if (followed.hasMemory) this.#withMemory -= 1;
    followed.hasMemory = false;
    followed.isEarly = false;
    followed.tail.clear();
  }
}
