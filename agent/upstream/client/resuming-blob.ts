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
const FINAL: ReadonlySet<string> = new Set(['not-found', 'denied', 'limited', 'range', 'protocol']);

/** What a {@link resumingBlob} delivers, and of which. */
export interface ResumingBlobInit {
  /** The answer that has begun. */
  readonly first: BlobAnswer;
  /** The bytes that the client asked for. */
  readonly wanted: ByteRange;
  /** Asks the registry for the rest, anew: a signed address may have expired. */
  readonly again: (rest: ByteRange, signal: AbortSignal) => Promise<BlobAnswer>;
  /** Called for each chunk that arrives. */
  readonly onBytes?: (length: number) => void;
  /** Called each time that the body is to go on from another answer, with why. */
  readonly onResume?: (error: UpstreamError) => void;
  /** Default {@link SLOW_MS}. */
  readonly slowMs?: number;
}

/**
 * Yields exactly the bytes that the client asked for. Where the body breaks off, is silent or trickles, the registry is
 * asked for the rest, a bounded number of times.
 *
 * @throws UpstreamError when it does not deliver; the signal's reason when that is aborted
 */
export async function* resumingBlob(
  { first, wanted, again, onBytes, onResume, slowMs = SLOW_MS }: ResumingBlobInit,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const backoff = new Backoff(BACKOFF);
  let answer: BlobAnswer | undefined = first;
  let position = wanted.start;
  for (let fruitless = 0; ;) {
    const begun = position;
    let failure: UpstreamError;
    try {
      answer ??= await again({ start: position, end: wanted.end }, signal);
      if (answer.size !== first.size)
        throw new UpstreamError('protocol', `${answer.host} now states another size`);
      for await (const chunk of within(answer, { start: position, end: wanted.end }, slowMs)) {
        position += chunk.length;
        onBytes?.(chunk.length);
        yield chunk;
      }
      if (position > wanted.end) return;
      throw new UpstreamError('body', `${answer.host}: the body ended early`);
    } catch (error) {
      signal.throwIfAborted();
      failure = toUpstreamError(error, 'body', answer?.host ?? first.host);
    } finally {
      if (answer !== undefined) discard(answer.body);
    }
    answer = undefined;
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
  { onBytes, slowMs = SLOW_MS }: Pick<ResumingBlobInit, 'onBytes' | 'slowMs'>,
): AsyncGenerator<Uint8Array> {
  const all = { start: 0, end: Number.MAX_SAFE_INTEGER };
  try {
    for await (const chunk of within({ body, host, range: all }, all, slowMs)) {
      onBytes?.(chunk.length);
      yield chunk;
    }
  } catch (error) {
    throw toUpstreamError(error, 'body', host);
  } finally {
    discard(body);
  }
}

/** The bytes of an answer that are in the range; those before it are dropped, from a registry that knows no ranges. */
async function* within(
  { body, range, host }: Pick<BlobAnswer, 'body' | 'range' | 'host'>,
  { start, end }: ByteRange,
  slowMs: number,
): AsyncGenerator<Uint8Array> {
  let at = range.start;
  let arrived = 0;
  let waited = 0;
  let asked = performance.now();
  for await (const chunk of body as AsyncIterable<Buffer>) {
    waited += performance.now() - asked;
    arrived += chunk.length;
    const from = Math.max(0, start - at);
    const to = Math.min(chunk.length, end + 1 - at);
    at += chunk.length;
    if (from < to) yield chunk.subarray(from, to);
    if (at > end) return;
    if (waited >= slowMs) {
      if (arrived < SLOW_BYTES) {
        throw new UpstreamError('timeout', `${host}: ${arrived} bytes in ${Math.round(waited)} ms`);
      }
      [arrived, waited] = [0, 0];
    }
    asked = performance.now();
  }
}
