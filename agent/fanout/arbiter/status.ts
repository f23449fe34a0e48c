import type { Digest } from '../../oci/digest.ts';
import type { DownloadState } from '../question.ts';
import type { Download } from './download.ts';
import type { FetchReason } from './leases.ts';
import type { MemberState } from './member-state.ts';

/** Digests that the status of an arbiter lists. */
export const MAX_STATUS_DIGESTS = 20;

/** One digest for `/debug/`. */
export interface DownloadStatus {
  readonly digest: Digest;
  /** Members by what they said last. */
  readonly members: Readonly<Partial<Record<DownloadState, number>>>;
  readonly holders: number;
  readonly fetchers: readonly {
    readonly peerId: string;
    readonly offset: number;
    readonly size?: number;
    /** Milliseconds since it got the lease. */
    readonly forMs: number;
    /** Why it fetches. */
    readonly reason: FetchReason;
  }[];
  /** Levels of followers below a fetcher. */
  readonly depth: number;
  /** Most children of one member by assignment and report. */
  readonly fanOut: number;
}

/** Describes one digest; looks at each member once. */
export function describeDownload(digest: Digest, download: Download, now: number): DownloadStatus {
  const members: Partial<Record<DownloadState, number>> = {};
  const levels = new Map<MemberState, number>();
  let depth = 0;
  let fanOut = 0;
  for (const member of download.members.values()) {
    members[member.state] = (members[member.state] ?? 0) + 1;
    depth = Math.max(depth, measureLevel(member, levels));
    fanOut = Math.max(fanOut, member.expected);
  }
  const fetchers = [...download.fetchers].flatMap(({ peerId, offset, size, lease }) => {
    if (lease === undefined) return [];
    const { reason, since } = lease;
    return { peerId, offset, ...(size !== undefined && { size }), forMs: now - since, reason };
  });
  return { digest, members, holders: download.holders, fetchers, depth, fanOut };
}

/** Parents above a member, each counted once for all below it. */
function measureLevel(member: MemberState, levels: Map<MemberState, number>): number {
  const line: MemberState[] = [];
  let at: MemberState | undefined = member;
  while (at !== undefined && !levels.has(at)) {
    line.push(at);
    at = at.parent;
  }
  let level = at === undefined ? -1 : (levels.get(at) ?? 0);
  for (const each of line.reverse()) levels.set(each, (level += 1));
  return level;
}
