import type { ContentRequest } from '../../oci/content-request.ts';
import { peerIdOf } from '../../routing/lookup/named-provider.ts';
import type { Provider } from '../../routing/router.ts';
import type { PeerClient, PeerResponse } from '../client/peer-client.ts';
import { PeerError, toPeerError, type PeerFailure } from '../client/peer-error.ts';

/** Failures of an address and not of the peer, which may be at another one. */
const ADDRESS_FAILURES: ReadonlySet<PeerFailure> = new Set(['connect', 'tls', 'identity']);

/** Addresses of one peer that are tried; a dual-stack node has two. */
const MAX_ORIGINS = 3;

/** Shortest timeout of a peer that was silent repeatedly, in milliseconds. */
const MIN_TIMEOUT_MS = 200;

/**
 * Asks a peer at its addresses in turn. The next address is tried only when the peer cannot be reached at the one before.
 *
 * @param headTimeout until the answer begins, for each address, in milliseconds; `undefined` for the client's default
 * @throws PeerError; the signal's reason when that is aborted
 */
export async function askPeer(
  client: Pick<PeerClient, 'fetch'>,
  { peerId: name, origins }: Provider,
  request: ContentRequest,
  headTimeout: number | undefined,
  signal: AbortSignal,
): Promise<PeerResponse> {
  let failure = new PeerError('connect', 'no address');
  const peerId = peerIdOf(name);
  for (const origin of origins.slice(0, MAX_ORIGINS)) {
    try {
      return await client.fetch({ origin, peerId }, request, headTimeout, signal);
    } catch (error) {
      failure = toPeerError(error, 'connect');
      if (signal.aborted || !ADDRESS_FAILURES.has(failure.reason)) break;
    }
  }
  throw failure;
}

/**
 * The timeout for each address of a peer that was silent: a quarter with each silence in a row after the first, in
 * milliseconds. Otherwise a dead peer would cost every layer of an image the whole timeout.
 *
 * @param headTimeout the timeout after one silence, in milliseconds
 * @param silences how often in a row the peer was silent; at least 1
 */
export function timeoutAfterSilence(
  { origins }: Provider,
  headTimeout: number,
  silences: number,
): number {
  const shortened = Math.max(MIN_TIMEOUT_MS, headTimeout / 4 ** (silences - 1));
  return Math.min(headTimeout, shortened) / Math.min(origins.length, MAX_ORIGINS);
}
