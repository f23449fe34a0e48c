import type { ByteRange } from '../../oci/byte-range.ts';
import { Backoff } from '../../timing/backoff.ts';
import { UpstreamError } from '../upstream-error.ts';
import { discard } from './answer-text.ts';
import type { BlobAnswer, UnsizedAnswer } from './blob-answer.ts';
import { toUpstreamError } from './upstream-failure.ts';

/** Times that a body is begun again without a byte of progress in between, or after it was too slow. */
const MAX_FRUITLESS = 4;
/** Waits before these, in milliseconds. */
const BACKOFF = { first: 100, max: 2_000 };
/** A body that has given less than this in {@link SLOW_MS} of waiting is begun again, as one that has stopped. */
const SLOW_BYTES = 64 * 1024;
const SLOW_MS = 60_000;

/** Failures after which the registry is not asked again. */
const FINAL: ReadonlySet<string> = new Set([
  ...['not-found', 'denied', 'limited', 'range', 'protocol', 'digest'],
]);

/** Bytes that have been forwarded. */
export interface Forwarded {
  readonly length: number;
  /** How long the registry was waited for, in milliseconds. */
  readonly waited: number;
}

/** Another way to the bytes of a blob. To be disposed of, which ends what it has begun. */
export interface OtherWay<T> extends Disposable {
  /**
   * Looks at a chunk that the client has taken.
   *
   * @param position of the byte behind it
   * @returns what delivers from there on, and may end at any byte; undefined while the blob is to go on as it does
   */
  after(chunk: T, position: number): AsyncIterable<T> | undefined;
}

/** What a {@link resumingBlob} delivers, and of which. */
export interface ResumingBlobInit<T> {
  /** The answer that has begun, or what is known of the blob while there is none. */
  readonly first: BlobAnswer | Pick<BlobAnswer, 'size' | 'host'>;
  /** The bytes that the client asked for. */
  readonly wanted: ByteRange;
  /** Reads these bytes of an answer, which may begin before them. */
  readonly read: (answer: BlobAnswer, range: ByteRange) => AsyncIterable<T>;
  /** Asks the registry for the rest, anew: a signed address may have expired. */
  readonly again: (rest: ByteRange, signal: AbortSignal) => Promise<BlobAnswer>;
  /** Called for each chunk that arrives. */
  readonly onBytes?: (length: number) => void;
  /** Called each time that the body is to go on from another answer, with why. */
  readonly onResume?: (error: UpstreamError) => void;
  /** Default {@link SLOW_MS}. */
  readonly slowMs?: number;
  /** Default: all bytes come by one connection. It is disposed of with the blob. */
  readonly otherWay?: OtherWay<T>;
}

/** A chunk of a body that is read as a stream. */
export interface ReadChunk extends Forwarded {
  readonly bytes: Uint8Array;
}

/**
 * Yields exactly the bytes that the client asked for. Where the body breaks off, is silent or trickles, the registry is
 * asked for the rest, a bounded number of times.
 *
 * @throws UpstreamError when it does not deliver; the signal's reason when that is aborted
 */
export async function* resumingBlob<T extends Forwarded>(
  { first, wanted, read, again, onBytes, onResume, slowMs = SLOW_MS, ...init }: ResumingBlobInit<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  using otherWay = init.otherWay;
  const backoff = new Backoff(BACKOFF);
  let answer = 'body' in first ? first : undefined;
  let position = wanted.start;
  for (let fruitless = 0; ;) {
    const begun = position;
    let arrived = 0;
    let waited = 0;
    let others: AsyncIterable<T> | undefined;
    let failure: UpstreamError | undefined;
    try {
      answer ??= await again({ start: position, end: wanted.end }, signal);
      if (answer.size !== first.size)
        throw new UpstreamError('protocol', `${answer.host} now states another size`);
      for await (const chunk of read(answer, { start: position, end: wanted.end })) {
        position += chunk.length;
        arrived += chunk.length;
        waited += chunk.waited;
        onBytes?.(chunk.length);
        yield chunk;
        others = otherWay?.after(chunk, position);
        if (others !== undefined) break;
        if (waited < slowMs) continue;
        if (arrived < SLOW_BYTES && position <= wanted.end)
          throw tooSlow(answer.host, arrived, waited);
        [arrived, waited] = [0, 0];
      }
      if (position > wanted.end) return;
      if (others === undefined)
        throw new UpstreamError('body', `${answer.host}: the body ended early`);
    } catch (error) {
      signal.throwIfAborted();
      failure = toUpstreamError(error, 'body', answer?.host ?? first.host);
    } finally {
      if (answer !== undefined) discard(answer.body);
    }
    answer = undefined;
    if (others !== undefined) {
      for await (const chunk of others) {
        position += chunk.length;
        yield chunk;
      }
      if (position > wanted.end) return;
      fruitless = 0;
      backoff.reset();
    }
    if (failure === undefined) continue;
    const isSlow = failure.reason === 'timeout';
    if (position > begun && !isSlow) {
      fruitless = 0;
      backoff.reset();
    }
    fruitless += 1;
    if (fruitless > MAX_FRUITLESS || FINAL.has(failure.reason)) throw failure;
    onResume?.(failure);
    await backoff.wait(signal);
    signal.throwIfAborted();
  }
}

/**
 * The whole of an answer that does not say how many bytes it has. It cannot go on from another one.
 *
 * @throws UpstreamError where it breaks, is silent or trickles
 */
export async function* unsizedBlob(
  { body, host }: UnsizedAnswer,
  { onBytes, slowMs = SLOW_MS }: Pick<ResumingBlobInit<ReadChunk>, 'onBytes' | 'slowMs'>,
): AsyncGenerator<Uint8Array> {
  const all = { start: 0, end: Number.MAX_SAFE_INTEGER };
  let arrived = 0;
  let waited = 0;
  try {
    for await (const chunk of asStream({ body, range: all }, all)) {
      onBytes?.(chunk.length);
      yield chunk.bytes;
      arrived += chunk.length;
      waited += chunk.waited;
      if (waited < slowMs) continue;
      if (arrived < SLOW_BYTES) throw tooSlow(host, arrived, waited);
      [arrived, waited] = [0, 0];
    }
  } catch (error) {
    throw toUpstreamError(error, 'body', host);
  } finally {
    discard(body);
  }
}

function tooSlow(host: string, arrived: number, waited: number): UpstreamError {
  return new UpstreamError('timeout', `${host}: ${arrived} bytes in ${Math.round(waited)} ms`);
}

/** Reads an answer as a stream. Bytes before the range are dropped, from a registry that knows no ranges. */
export async function* asStream(
  { body, range }: Pick<BlobAnswer, 'body' | 'range'>,
  { start, end }: ByteRange,
): AsyncGenerator<ReadChunk> {
  let at = range.start;
  let waited = 0;
  let asked = performance.now();
  for await (const chunk of body as AsyncIterable<Buffer>) {
    waited += performance.now() - asked;
    const from = Math.max(0, start - at);
    const to = Math.min(chunk.length, end + 1 - at);
    at += chunk.length;
    if (from < to) {
      const bytes = chunk.subarray(from, to);
      yield { bytes, length: bytes.length, waited };
      waited = 0;
    }
    if (at > end) return;
    asked = performance.now();
  }
}

/** The bytes of the chunks. */
export async function* bytesOf(chunks: AsyncIterable<ReadChunk>): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of chunks) yield bytes;
}
