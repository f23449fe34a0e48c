import type { Content } from '../content/content-source.ts';
import { OciError } from '../oci/errors.ts';
import { wholeOf } from '../oci/content-request.ts';
import type { PeerAttempts } from './select/peer-attempts.ts';
import { PeerRace, type PeerStream, type RaceResult } from './select/peer-race.ts';

/** No peer delivers the content: the request is left to the next source. */
export class NotDeliveredError extends Error {
  override readonly name = 'NotDeliveredError';
  readonly code = 'ERR_NOT_DELIVERED';
  /** The label of `peerglass_fall_throughs_total`. */
  readonly reason: 'no-provider' | 'lookup-timeout' | 'providers-failed' | 'providers-busy';

  constructor(reason: NotDeliveredError['reason']) {
    super(reason);
    this.reason = reason;
  }
}

/**
 * Asks peers until one of their answers becomes content.
 *
 * @param deliver makes the content; when it fails, the peer has failed, and the next one is asked
 * @param timeout ends the search, and nothing else
 * @param signal ends everything, the body included
 * @throws NotDeliveredError when no peer delivers; OciError `RANGE_INVALID` when moreover a holder has stated that the
 * range is not satisfiable; the signal's reason when that is aborted
 */
export async function firstGoodAnswer(
  attempts: PeerAttempts,
  deliver: (stream: PeerStream) => Promise<Content>,
  timeout: AbortSignal,
  signal: AbortSignal,
): Promise<Content> {
  try {
    return await raceUntilGood(attempts, deliver, timeout, signal);
  } catch (error) {
    // Where no peer serves the size that a manifest names, the manifest may be the one that is wrong.
    if (signal.aborted || !attempts.dropSizeHint()) throw error;
    return await raceUntilGood(attempts, deliver, timeout, signal);
  }
}

async function raceUntilGood(
  attempts: PeerAttempts,
  deliver: (stream: PeerStream) => Promise<Content>,
  timeout: AbortSignal,
  signal: AbortSignal,
): Promise<Content> {
  // A manifest is always fetched whole: it is small, and a part of it cannot be verified.
  const request =
    attempts.request.kind === 'manifest'
      ? wholeOf(attempts.request)
      : attempts.chunks.firstRequest(attempts.request);
  using race = new PeerRace(attempts, request, signal, AbortSignal.any([signal, timeout]));
  for (;;) {
    const result = await race.next();
    signal.throwIfAborted();
    if (result.kind !== 'peer-stream') throw noAnswer(attempts, result, timeout);
    try {
      return await deliver(result);
    } catch (error) {
      signal.throwIfAborted();
      attempts.broke(result.provider, error);
    }
  }
}

function noAnswer({ progress }: PeerAttempts, { kind }: RaceResult, timeout: AbortSignal): Error {
  switch (progress) {
    case 'unsatisfiable':
      return new OciError('RANGE_INVALID', 'no byte of the range exists');
    case 'busy':
      return new NotDeliveredError('providers-busy');
    case 'asked':
      return new NotDeliveredError('providers-failed');
    case 'none-asked': {
      const isLate = kind === 'timeout' || timeout.aborted;
      return new NotDeliveredError(isLate ? 'lookup-timeout' : 'no-provider');
    }
  }
}
