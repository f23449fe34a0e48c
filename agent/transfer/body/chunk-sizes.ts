import { LRUCache } from 'lru-cache';

import type { ByteRange, RangeRequest } from '../../oci/byte-range.ts';
import type { Digest } from '../../oci/digest.ts';
import { pause } from '../../timing/pause.ts';
import type { ContentRequest } from '../../oci/content-request.ts';

/** Blobs whose requests are remembered. The blob with the oldest request is forgotten first. */
const MAX_BLOBS = 256;

/** Start offsets that are remembered of each blob, the latest ones. A client has fewer requests open at a time. */
const MAX_STARTS = 32;

/** Offsets closer to each other than this, in bytes, are not taken for the starts of chunks. */
const MIN_CHUNK_BYTES = 64 * 1024;

/** How long a client has to close its request at the predicted end of a chunk, in milliseconds. */
const CLOSE_MS = 100;

/** Predicted ends that a client may read past in one request. After that the rest is requested at once. */
const MAX_WRONG_PREDICTIONS = 2;

/**
 * Predicts where a client is going to close its request. From 2.1 on, containerd with `concurrent_layer_fetch_buffer`
 * fetches a layer by many requests for `bytes=N-`. Of each it reads one chunk, and then closes the connection. A peer
 * that was asked for all of the rest has filled the buffers of two connections by then, often with more than the chunk
 * itself, and the connection to it is lost. The distances between the requests show the size of the chunks.
 *
 * Without this, holders send 1.3 to 6.4 times the bytes of the blob over links of 1 Gbit/s and more, need a new
 * connection for each chunk, and a fetch takes 1.3 to 1.7 times as long (docs/BENCHMARKS.md, "Chunk size prediction").
 */
export class ChunkSizes {
  readonly #starts = new LRUCache<Digest, readonly number[]>({ max: MAX_BLOBS });

  /** Records a request of this node's client, and plans which ranges to ask peers for. */
  begin({ kind, method, digest, range }: ContentRequest): ChunkPlan {
    const isOpen = kind === 'blob' && method === 'GET' && range?.kind === 'from';
    if (!isOpen || digest === undefined) return new ChunkPlan(undefined);
    const known = this.#starts.get(digest) ?? [];
    const starts = [...new Set([...known, range.start])].slice(-MAX_STARTS);
    this.#starts.set(digest, starts);
    return new ChunkPlan(minDistance(starts), range.start);
  }
}

/** The ranges to ask peers for in the course of one body. */
export class ChunkPlan {
  /**
   * Whether the body begins behind the first chunk. When the first chunk is refused, containerd asks the next host.
   * When a later one is refused, the pull has failed.
   */
  readonly isLater: boolean;
  #length: number | undefined;
  #wrongPredictions = 0;

  /**
   * @param length predicted size of a chunk in bytes; `undefined` when the client is expected to read all
   * @param start offset in the blob at which the body begins
   */
  constructor(length: number | undefined, start = 0) {
    this.isLater = length !== undefined && start > 0;
    this.#length = length;
  }

  /** The request to send to peers for the client's request: the same, or its first chunk. */
  firstRequest(request: ContentRequest): ContentRequest {
    const { range } = request;
    if (this.#length === undefined || range?.kind !== 'from') return request;
    const end = range.start + this.#length - 1;
    return { ...request, range: { kind: 'between', start: range.start, end } };
  }

  /** The range to request next, of the bytes that are left. */
  nextRange({ start, end }: ByteRange): RangeRequest {
    const last = this.#length === undefined ? end : Math.min(end, start + this.#length - 1);
    return { kind: 'between', start, end: last };
  }

  /**
   * Call at the end of a requested range. Resolves when the client has had the time to close its request.
   *
   * @param signal aborted when the client closes its request
   */
  async rangeEnded(signal: AbortSignal): Promise<void> {
    await pause(CLOSE_MS, signal);
    this.#wrongPredictions += 1;
    if (this.#wrongPredictions >= MAX_WRONG_PREDICTIONS) this.#length = undefined;
  }
}

/** The smallest distance that can be a chunk; `undefined` when there is none. */
function minDistance(starts: readonly number[]): number | undefined {
  const inOrder = starts.toSorted((a, b) => a - b);
  const distances = inOrder
    .slice(1)
    .map((start, index) => start - (inOrder[index] ?? 0))
    .filter((distance) => distance >= MIN_CHUNK_BYTES);
  return distances.length === 0 ? undefined : Math.min(...distances);
}
