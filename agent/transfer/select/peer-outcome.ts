import type { PeerFailure } from '../client/peer-error.ts';
import type { PeerReport } from '../client/peer-report.ts';
import type { MismatchNoticed } from './blocklist.ts';

/** Failures without an answer of the peer; `body` when the connection ends before it. */
const SILENCE: ReadonlySet<PeerFailure> = new Set([
  'connect',
  'timeout',
  'body',
  'tls',
  'identity',
]);

/** Failures that are a fault of the peer, and not only of its DHT record. */
const FAULTS: ReadonlySet<PeerFailure> = new Set(['status', 'range', 'protocol', 'digest']);

/** What a peer reported with an answer, if it gave one and that had a report. */
interface WithReport {
  readonly report?: PeerReport | undefined;
}

/** What came of asking a peer for the content of a key. */
export type PeerOutcome =
  /** It holds the content and delivers it, or the range that was asked for does not exist. */
  | ({ readonly kind: 'answered' } & WithReport)
  /** It holds the content and refuses, because it sends too many bodies already. */
  | ({ readonly kind: 'busy' } & WithReport)
  /** It answered that it does not hold the content. */
  | ({ readonly kind: 'lacks' } & WithReport)
  /** It answered, but not as the protocol demands. */
  | ({ readonly kind: 'failed' } & WithReport)
  /** It has not answered in the time that most peers need. */
  | { readonly kind: 'late' }
  /** It cannot be reached, or did not answer within its timeout. */
  | ({ readonly kind: 'silent' } & WithReport)
  /** It began to deliver, and the body broke off or was not what was asked for. */
  | { readonly kind: 'broke-off' }
  /** It delivered a body of this size, for which this node waited this long. */
  | { readonly kind: 'delivered'; readonly bytes: number; readonly milliseconds: number }
  /** Another peer is clearly faster than it, at this rate in bytes a second, and continues in its place. */
  | { readonly kind: 'slow'; readonly rate: number }
  /** It certainly sent bytes with another digest. */
  | { readonly kind: 'digest-mismatch'; readonly noticed: MismatchNoticed }
  /** It is one of several peers of which at least one sent bytes with another digest. */
  | { readonly kind: 'unverified' }
  /** It sent the bytes once more, and their digest is right. */
  | { readonly kind: 'verified' };

/** Outcomes that concern the blocklist alone. */
export type DigestOutcome = Extract<
  PeerOutcome,
  { kind: 'digest-mismatch' | 'unverified' | 'verified' }
>;

/** Whether the outcome concerns the blocklist alone. */
export function isDigestOutcome(outcome: PeerOutcome): outcome is DigestOutcome {
  return ['digest-mismatch', 'unverified', 'verified'].includes(outcome.kind);
}

/** Whether the failure is no answer at all. */
export function isSilence(reason: PeerFailure): boolean {
  return SILENCE.has(reason);
}

/** Whether the failure is a fault of the peer: it answered wrongly. */
export function isFault(reason: PeerFailure): boolean {
  return FAULTS.has(reason);
}

/** What a failure to answer well means for the requests that follow. */
export function outcomeOf(reason: PeerFailure): 'silent' | 'lacks' | 'answered' | 'failed' {
  if (isSilence(reason)) return 'silent';
  if (reason === 'not-found') return 'lacks';
  // A range that does not exist is the fault of the client.
  return isFault(reason) && reason !== 'range' ? 'failed' : 'answered';
}
