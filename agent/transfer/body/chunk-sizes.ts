import type { ByteRange, RangeRequest } from '../../oci/byte-range.ts';
import type { Digest } from '../../oci/digest.ts';
import { pause } from '../../timing/pause.ts';
import type { ContentRequest } from '../../oci/content-request.ts';

/** Blobs whose requests are remembered; of more, the one that was asked for the longest ago is forgotten. */
const MAX_BLOBS = 256;

/** Beginnings that are remembered of each, the last ones: a client has fewer requests open at a time. */
const MAX_STARTS = 32;

/** Beginnings that are closer to each other are not taken for pieces, in bytes. */
const LEAST_LENGTH = 64 * 1024;

/** How long a client has to leave at the end of a piece, in milliseconds. It is waited for only when it is foreseen. */
const LEAVE_MS = 100;

/** Ends of pieces that one request may pass before it counts as one for all of the rest. */
const MAX_PASSED = 2;

/**
 * Foresees where a client is going to hang up. containerd from 2.1 on, with `concurrent_layer_fetch_buffer`, fetches a
 * layer by many requests for `bytes=N-`, of which it reads so many bytes and closes the connection. Peers that
 * were asked for all of the rest have filled the buffers of two connections by then, often with more than the
 * piece itself, and the connection to them is lost. The beginnings of the other requests tell the length.
 */
export class ChunkSizes {
  readonly #starts = new Map<Digest, readonly number[]>();

  /** Notes a request of this node's client; of its body the pieces say what to ask peers for. */
  begin({ kind, method, digest, range }: ContentRequest): ChunkPlan {
    const isOpen = kind === 'blob' && method === 'GET' && range?.kind === 'from';
    if (!isOpen || digest === undefined) return new ChunkPlan(undefined);
    const known = this.#starts.get(digest) ?? [];
    const starts = [...new Set([...known, range.start])].slice(-MAX_STARTS);
    this.#starts.delete(digest);
    this.#starts.set(digest, starts);
    const [oldest] = this.#starts.keys();
    if (this.#starts.size > MAX_BLOBS && oldest !== undefined) this.#starts.delete(oldest);
    return new ChunkPlan(leastDistance(starts), range.start);
  }
}

/** What to ask peers for in the course of one body. */
export class ChunkPlan {
  /**
   * Whether it is a piece behind the first. Of the first containerd asks the next host when it is refused; when a later
   * one is, the pull has failed.
   */
  readonly isLater: boolean;
  #length: number | undefined;
  #passed = 0;

  /**
   * @param length bytes after which the client is going to leave; `undefined` when it wants all
   * @param start where in the blob it begins
   */
  constructor(length: number | undefined, start = 0) {
    this.isLater = length !== undefined && start > 0;
    this.#length = length;
  }

  /** The request that is made of peers in the place of the client's. */
  firstOf(request: ContentRequest): ContentRequest {
    const { range } = request;
    if (this.#length === undefined || range?.kind !== 'from') return request;
    const end = range.start + this.#length - 1;
    return { ...request, range: { kind: 'between', start: range.start, end } };
  }

  /** The next bytes to ask for, where all these are left. */
  nextOf({ start, end }: ByteRange): RangeRequest {
    const last = this.#length === undefined ? end : Math.min(end, start + this.#length - 1);
    return { kind: 'between', start, end: last };
  }

  /**
   * To be awaited at the end of a piece: resolves when the client has had the time to leave and has not.
   *
   * @param signal aborted when the client leaves
   */
  async passed(signal: AbortSignal): Promise<void> {
    await pause(LEAVE_MS, signal);
    this.#passed += 1;
    if (this.#passed >= MAX_PASSED) this.#length = undefined;
  }
}

/** Of numbers apart enough to be pieces; `undefined` when there are no two. */
function leastDistance(starts: readonly number[]): number | undefined {
  const inOrder = starts.toSorted((a, b) => a - b);
  const distances = inOrder
    .slice(1)
    .map((start, index) => start - (inOrder[index] ?? 0))
    .filter((distance) => distance >= LEAST_LENGTH);
  return distances.length === 0 ? undefined : Math.min(...distances);
}
