import type { Content } from '../content/content-source.ts';
import { OciError } from '../oci/errors.ts';
import { wholeOf } from '../oci/content-request.ts';
import type { ExtendableTimeout } from '../timing/extendable-timeout.ts';
import { Wakeup } from '../timing/wakeup.ts';
import { BufferedAnswers, type MakeContent } from './buffered-answers.ts';
import type { PeerAttempts } from './select/peer-attempts.ts';
import { PeerRace, type RaceResult } from './select/peer-race.ts';

/** No peer delivers the content: the request is left to the next source. */
export class NotDeliveredError extends Error {
  override readonly name = 'NotDeliveredError';
  readonly code = 'ERR_NOT_DELIVERED';
  /** The label of `peerglass_fall_throughs_total`. */
  readonly reason:
    'no-provider' | 'lookup-timeout' | 'providers-failed' | 'providers-busy' | 'memory-busy';

  constructor(reason: NotDeliveredError['reason']) {
    super(reason);
    this.reason = reason;
  }
}

/** The search for the next peer. */
interface Search {
  isRunning: boolean;
  /** How it ended when no peer was left to ask. It goes on when a delivery fails. */
  ended: RaceResult | undefined;
}

/**
 * Asks peers until one of their answers becomes content. Where an answer is buffered and late, the next peer is asked
 * beside it.
 *
 * @param deliver makes the content; when it fails, the peer has failed, and the next one is asked
 * @param timeout ends the search, and deliveries that have given no content by then
 * @param signal ends everything, the body included
 * @throws NotDeliveredError when no peer delivers; OciError `RANGE_INVALID` when moreover a holder has stated that the
 * range is not satisfiable; the signal's reason when that is aborted
 */
export async function firstGoodAnswer(
  attempts: PeerAttempts,
  deliver: MakeContent,
  timeout: ExtendableTimeout,
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
  deliver: MakeContent,
  timeout: ExtendableTimeout,
  signal: AbortSignal,
): Promise<Content> {
  // A manifest is always fetched whole: it is small, and a part of it cannot be verified.
  const request =
    attempts.request.kind === 'manifest'
      ? wholeOf(attempts.request)
      : attempts.chunks.firstRequest(attempts.request);
  const news = new Wakeup();
  const onNews = (): void => {
    news.call();
  };
  using race = new PeerRace(attempts, request, signal, AbortSignal.any([signal, timeout.signal]));
  using deliveries = new BufferedAnswers({ attempts, deliver, timeout, onNews }, signal);
  const search: Search = { isRunning: false, ended: undefined };
  for (let failures = 0; ;) {
    const { content, lacksMemory } = deliveries;
    // First: content that came just before the signal was aborted may hold memory or a connection.
    if (content !== undefined) return content;
    signal.throwIfAborted();
    if (deliveries.failures > failures) search.ended = undefined;
    failures = deliveries.failures;
    if (deliveries.isEmpty && !search.isRunning) {
      if (lacksMemory) throw new NotDeliveredError('memory-busy');
      if (search.ended !== undefined) throw noAnswer(attempts, search.ended, timeout.signal);
    }
    if (deliveries.wantsMore && !search.isRunning && search.ended === undefined) {
      void findNext(race, deliveries, search).then(onNews);
    }
    await news.wait(signal);
  }
}

/** Never rejects: no step of a race does. */
async function findNext(
  race: PeerRace,
  deliveries: BufferedAnswers,
  search: Search,
): Promise<void> {
  search.isRunning = true;
  const result = await race.next();
  search.isRunning = false;
  if (result.kind === 'peer-stream') deliveries.begin(result);
  else search.ended = result;
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
