import { requestHere } from '../../native/network-namespace.ts';
import type { AgentPeer } from '../agent-client.ts';
import type { ClientIdentity } from '../facts.ts';

/** Upper bound for the peers that are asked; enough to see a pattern. */
const MAX_PEERS = 16;
/** How long a peer may take, in milliseconds. */
const TIMEOUT_MS = 2_000;

/** Answer of a peer's mirror. */
export interface PeerAnswer {
  readonly origin: string;
  /** Why its port cannot be reached; absent after any answer. */
  readonly unreachable?: string;
  /** Milliseconds by which its clock is ahead of ours, to half a second; absent without a `Date` header. */
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

/** Sends `HEAD /v2/` to the mirrors of the first peers, all at once. */
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
  // The header is rounded down to whole seconds, which is half a second too early on average.
  return Number.isNaN(date) ? { origin } : { origin, aheadMs: date + 500 - now };
}
