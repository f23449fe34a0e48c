import type { MovedChunk } from '../../native/splice.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import { Backoff } from '../../timing/backoff.ts';
import type { ByteRange } from '../../oci/byte-range.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { rangeOf } from '../../oci/content-request.ts';
import type { TransferRecord } from '../verify/transfer-record.ts';
import type { Bandwidth } from './bandwidth.ts';
import type { PeerAttempts } from '../select/peer-attempts.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { PeerError } from '../client/peer-error.ts';
import { PeerRace, type PeerStream } from '../select/peer-race.ts';

/** No peer delivers any more of a body that has begun. */
class BodyBrokenError extends Error {
  override readonly name = 'BodyBrokenError';
  readonly code = 'ERR_BODY_BROKEN';
}

/** A peer that delivers less than this many bytes in {@link RATE_WINDOW_MS} is as good as stalled. */
const LEAST_IN_WINDOW = 64 * 1024;

/** Over how long the rate is looked at, in milliseconds; time spent waiting for the client is not counted. */
const RATE_WINDOW_MS = 10_000;

/** How often in a row it is tried to go on without a byte of progress. */
const MAX_VAIN_TRIES = 4;

/** The waits between those, in milliseconds: about a second in all. */
const RESUME_BACKOFF = { first: 100, max: 800 };

/** A part of a body: its bytes, or what is told of bytes that the kernel has moved. */
export type BodyChunk = Uint8Array | MovedChunk;

/** Takes the body of an answer, in pieces. */
export type ReadBody<T extends BodyChunk> = (response: PeerResponse) => AsyncIterable<T>;

/**
 * Yields exactly the bytes that the client asked for, turning to other peers from the exact byte where one fails, and
 * where a piece ends that was not all of it. Where the next fails without a byte of progress, or there is none, it is
 * looked for again after a while, a bounded number of times.
 *
 * @param delivery is told who delivers, and what has been passed on
 * @param read takes the body of an answer, in pieces
 * @param download what all bodies from peers share, where that is limited
 * @throws BodyBrokenError when no peer is left; the signal's reason when that is aborted
 */
export async function* resumingBody<T extends BodyChunk>(
  attempts: PeerAttempts,
  first: PeerStream,
  delivery: TransferRecord,
  read: ReadBody<T>,
  metrics: Metrics,
  signal: AbortSignal,
  download?: Bandwidth,
): AsyncGenerator<T> {
  const { descriptor } = first.response;
  const range = rangeOf(attempts.request, descriptor);
  const backoff = new Backoff(RESUME_BACKOFF);
  let vainTries = 0;
  let source = first;
  let position = range.start;
  for (;;) {
    const begun = position;
    const pieceEnd = source.response.range.end;
    let waited = 0;
    let arrived = 0;
    delivery.from(source.provider);
    let waitedInAll = 0;
    try {
      let asked = performance.now();
      for await (const chunk of read(source.response)) {
        if (position + chunk.length > pieceEnd + 1) {
          throw new PeerError('protocol', 'more bytes than declared');
        }
        position += chunk.length;
        metrics.peerBytes.inc({ direction: 'received' }, chunk.length);
        const took = 'waited' in chunk ? chunk.waited : performance.now() - asked;
        waited += took;
        waitedInAll += took;
        arrived += chunk.length;
        await download?.take(chunk.length, signal);
        yield chunk;
        if (waited > RATE_WINDOW_MS) {
          if (arrived < LEAST_IN_WINDOW && position <= pieceEnd) {
            throw new PeerError('timeout', `${arrived} bytes in ${Math.round(waited)} ms`);
          }
          waited = 0;
          arrived = 0;
        }
        asked = performance.now();
      }
      if (position <= pieceEnd) throw new PeerError('body', 'body ended early');
    } catch (error) {
      signal.throwIfAborted();
      if (position <= pieceEnd) attempts.broke(source.provider, error, position > begun);
    } finally {
      delivery.passed({ start: begun, end: position - 1 });
      source.response.body.destroy();
      attempts.delivered(source.provider, position - begun, waitedInAll);
    }
    if (position === range.end + 1) return;
    const isEndOfPiece = position > pieceEnd;
    if (isEndOfPiece) {
      await attempts.chunks.passed(signal);
      signal.throwIfAborted();
    }
    if (position > begun) {
      vainTries = 0;
      backoff.reset();
    }
    let next: PeerStream | undefined;
    while (next === undefined && vainTries < MAX_VAIN_TRIES && !attempts.exhausted) {
      if (vainTries > 0) {
        await backoff.wait(signal);
        attempts.forgive();
      }
      signal.throwIfAborted();
      vainTries += 1;
      next = await resume(attempts, descriptor, { start: position, end: range.end }, signal);
    }
    if (!isEndOfPiece || next === undefined) {
      metrics.resumes.inc({ result: next === undefined ? 'broken' : 'resumed' });
    }
    if (next === undefined) {
      throw new BodyBrokenError(`no peer left at byte ${position} of ${descriptor.size}`);
    }
    source = next;
  }
}

async function resume(
  attempts: PeerAttempts,
  descriptor: Descriptor,
  rest: ByteRange,
  signal: AbortSignal,
): Promise<PeerStream | undefined> {
  const range = attempts.chunks.nextOf(rest);
  const request = { ...attempts.request, digest: descriptor.digest, range };
  // The directory is asked anew, so that those who have come to hold it since the body began are found.
  using race = new PeerRace(attempts, request, signal);
  for (;;) {
    const result = await race.next();
    signal.throwIfAborted();
    if (result.kind !== 'peer-stream') return undefined;
    const { provider, response } = result;
    if (response.descriptor.size === descriptor.size) return result;
    response.body.destroy();
    attempts.broke(provider, new PeerError('protocol', 'another size than the peer before'));
  }
}
