import { requestHere } from '../../native/network-namespace.ts';
import type { AgentPeer } from '../agent-client.ts';
import type { ClientIdentity } from '../facts.ts';

/** Peers that are asked: enough to see a pattern. */
const MAX_PEERS = 16;
/** How long a peer may take, in milliseconds. */
const TIMEOUT_MS = 2_000;

/** What came of asking a peer's mirror. */
export interface PeerAnswer {
  readonly origin: string;
  /** Why its port could not be connected with; absent when somebody answered, whatever it was. */
  readonly unreachable?: string;
  /** Milliseconds by which its clock is ahead of ours, to half a second; absent when it did not say. */
  readonly aheadMs?: number;
}

const UNREACHABLE: ReadonlySet<string> = new Set([
  'TIMEOUT',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EHOSTDOWN',
  'EACCES',
  'EPERM',
]);

/** Asks the mirrors of the first peers, all at once. */
export async function askPeers(
  peers: readonly AgentPeer[],
  identity: ClientIdentity | undefined,
): Promise<PeerAnswer[]> {
  const origins = peers.flatMap(({ origins: [first] }) => (first === undefined ? [] : [first]));
  return await Promise.all(origins.slice(0, MAX_PEERS).map((origin) => askPeer(origin, identity)));
}

async function askPeer(origin: string, identity?: ClientIdentity): Promise<PeerAnswer> {
  const before = Date.now();
  const request = { url: `${origin}/v2/`, method: 'HEAD', timeoutMs: TIMEOUT_MS } as const;
  const answer = await requestHere({ ...request, ...identity });
  if ('error' in answer) {
    return UNREACHABLE.has(answer.error) ? { origin, unreachable: answer.error } : { origin };
  }
  const now = (before + Date.now()) / 2;
  const date = Date.parse(answer.headers['date'] ?? '');
  // The header has whole seconds, rounded down: half a second too early on average.
  return Number.isNaN(date) ? { origin } : { origin, aheadMs: date + 500 - now };
}
