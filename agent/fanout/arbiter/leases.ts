import {
  BUSY_MS,
  FAILURES_MS,
  FETCHER_RENEW_MS,
  FIRST_BYTE_MS,
  LEASE_RENEWALS,
  MAX_FAILURES,
  MAX_FETCHERS,
  MAX_FIRST_GAP_MS,
  MAX_LEASES,
  MAX_STALL_MS,
  STALL_FACTOR,
  STALL_MS,
} from './bounds.ts';
import type { MemberState } from './member-state.ts';

/** Why a node fetches, for people who debug. */
export type FetchReason = 'first' | 'next' | 'takes the place of its parent' | 'came back';

/** The right of a member to fetch a digest from the upstream registry. */
export interface Lease {
  readonly reason: FetchReason;
  /** When it was given. */
  readonly since: number;
  /** Offset then. */
  readonly base: number;
  offset: number;
  /** When the offset grew last. */
  grewAt: number;
  /** Times between two growths, in milliseconds: until the first one, and the longest of the others. */
  firstGap: number | undefined;
  longestGap: number | undefined;
  /** It lapses without a report until then. */
  until: number;
}

/** Options of {@link Leases}. */
export interface LeasesInit {
  /** How many nodes fetch one digest at a time, 1 to 3. Default: 1. */
  readonly fetchers?: number;
  /** One fetcher for each zone that askers have, instead. Default: false. */
  readonly fetchersPerZone?: boolean;
  /** Time that a fetcher has for its first byte, in milliseconds. Default: 10,000. */
  readonly firstByteMs?: number;
}

/** Who fetches one digest, and how many fetchers failed lately. */
export class Leases {
  readonly #fetchers: number;
  readonly #perZone: boolean;
  readonly #firstByteMs: number;
  readonly #holders = new Set<MemberState>();
  #failures: number[] = [];
  #lostAt = -Infinity;

  constructor({ fetchers = 1, fetchersPerZone = false, firstByteMs = FIRST_BYTE_MS }: LeasesInit) {
    this.#fetchers = Math.min(Math.max(1, fetchers), MAX_FETCHERS);
    this.#perZone = fetchersPerZone;
    this.#firstByteMs = firstByteMs;
  }

  /** Whether each zone has a fetcher. */
  get isPerZone(): boolean {
    return this.#perZone;
  }

  /** Members with a lease. */
  get members(): ReadonlySet<MemberState> {
    return this.#holders;
  }

  /** When the last lease ended otherwise than by success. */
  get lostAt(): number {
    return this.#lostAt;
  }

  /**
   * Lets leases last longer whose members are heard about other digests: they are alive, and late.
   *
   * @param heardAt when a member was heard last, about whichever digest
   */
  prolong(heardAt: (peerId: string) => number): void {
    for (const { peerId, heardAt: reportedAt, lease } of this.#holders) {
      if (lease === undefined) continue;
      const aliveAt = Math.min(heardAt(peerId), reportedAt + BUSY_MS);
      lease.until = Math.max(lease.until, aliveAt + LEASE_RENEWALS * FETCHER_RENEW_MS);
    }
  }

  /** Ends the leases that lapsed or stalled. @returns their members */
  sweep(now: number): readonly MemberState[] {
    const ended: MemberState[] = [];
    for (const member of this.#holders) {
      const { lease } = member;
      if (lease === undefined || lease.until < now) ended.push(member);
      else if (this.#isStalled(member, lease)) {
        member.stalledAt = lease.offset;
        ended.push(member);
      }
    }
    for (const member of ended) this.fail(member, now);
    return ended;
  }

  /** Whether this member may have a lease because there are too few. */
  isFree(member: MemberState): boolean {
    if (this.#holders.size >= MAX_LEASES) return false;
    if (!this.#perZone || member.zone === '') return this.#holders.size < this.#fetchers;
    for (const { zone } of this.#holders) if (zone === member.zone) return false;
    return true;
  }

  /** Whether there may be one more than the option says, for an orphan or a fetcher that came back. */
  get hasRoom(): boolean {
    return this.#holders.size < MAX_LEASES;
  }

  /** Whether so many fetchers failed lately that each node is to hear the reason from the upstream registry. */
  isExhausted(now: number): boolean {
    this.#failures = this.#failures.filter((at) => now - at <= FAILURES_MS);
    return this.#failures.length >= MAX_FAILURES;
  }

  grant(member: MemberState, reason: FetchReason, renewMs: number, now: number): void {
    const { offset } = member;
    const until = now + LEASE_RENEWALS * renewMs;
    const gaps = { firstGap: undefined, longestGap: undefined };
    member.lease = { reason, since: now, base: offset, offset, grewAt: now, ...gaps, until };
    member.stalledAt = undefined;
    this.#holders.add(member);
  }

  /** Takes a report of a member with a lease. */
  renew({ lease, offset }: MemberState, renewMs: number, now: number): void {
    if (lease === undefined) return;
    lease.until = now + LEASE_RENEWALS * renewMs;
    // An offset that falls is a download that began again.
    if (offset > lease.offset) {
      const gap = now - lease.grewAt;
      if (lease.firstGap === undefined) lease.firstGap = gap;
      else lease.longestGap = Math.max(lease.longestGap ?? 0, gap);
      lease.grewAt = now;
    }
    lease.offset = offset;
  }

  /** Ends a lease: it failed. */
  fail(member: MemberState, now: number): void {
    if (!this.#end(member)) return;
    this.#lostAt = now;
    if (this.#failures.length >= MAX_FAILURES) this.#failures.shift();
    this.#failures.push(now);
  }

  /** Ends a lease: the member has the content, or follows. */
  release(member: MemberState): void {
    this.#end(member);
  }

  #end(member: MemberState): boolean {
    member.lease = undefined;
    return this.#holders.delete(member);
  }

  /**
   * Measured up to the last report: what a fetcher does that reports late is not known, and {@link prolong} bounds it. The time
   * after the last byte does not count: containerd verifies and commits.
   */
  #isStalled({ offset, size, heardAt }: MemberState, lease: Lease): boolean {
    // The report that has just come is taken after the sweep.
    if (offset > lease.offset) return false;
    if (size !== undefined && lease.offset >= size) return false;
    if (lease.offset <= lease.base) return heardAt - lease.since > this.#firstByteMs;
    return heardAt - lease.grewAt > patience(lease);
  }
}

/**
 * How long the offset may stay the same, in milliseconds. containerd writes in steps of 1 MiB, which a slow registry sends in
 * seconds: so a fetcher may be silent for three times as long as before. Where it fetches chunks at the same time, the first of
 * them is as long in coming as the first of the next ones, and those between are there at once.
 */
function patience({ longestGap, firstGap = 0 }: Lease): number {
  const first = longestGap === undefined ? firstGap : Math.min(firstGap, MAX_FIRST_GAP_MS);
  const longest = Math.max(longestGap ?? 0, first);
  return Math.max(STALL_MS, Math.min(MAX_STALL_MS, longest * STALL_FACTOR));
}
