import type { DownloadState, Member, Question } from '../question.ts';
import { ASSIGNED_MS, AVOID_MS, FRESH_RENEWALS, MAX_FAN_OUT, MAX_ZONE_LENGTH } from './bounds.ts';
import type { Lease } from './leases.ts';
import type { Place } from './slots.ts';

/** One member of one digest, as it has described itself, and its place in the tree. Times are by the arbiter's clock. */
export class MemberState {
  member: Member;
  state: DownloadState = 'wants';
  zone = '';
  canFetch = false;
  offset = 0;
  size: number | undefined;
  heardAt = 0;
  /** When it was to report next, in milliseconds after {@link heardAt}. */
  renewMs = 0;
  /** Bytes that it was behind the first of all members when it was heard. */
  lag = 0;
  /** It is neither parent nor holder until then. */
  wrongUntil = -Infinity;

  /** How often it was named as a holder, since when. */
  readonly named = { since: -Infinity, times: 0 };

  /** It fetches, with this lease. */
  lease: Lease | undefined;
  /** The offset with which its last lease ended by a stall. */
  stalledAt: number | undefined;

  /** When it said that its parent does not serve it, and when it was to keep it all the same. */
  askedAgainAt = -Infinity;
  keptAt = -Infinity;

  parent: MemberState | undefined;
  /** Whether the arbiter chose the parent. */
  isAssigned = false;
  readonly children = new Set<MemberState>();
  /** Whether others followed it when it had all of the content: they are likely to follow it in further content. */
  wasFollowed = false;
  /** Children by its own reports and by assignments since. */
  expected = 0;
  /** Whether its last report, which counted all assigned children, said so. */
  isRoomy = false;
  /** It has no child and has said that it takes none. */
  isClosed = false;
  /** The child that came last by assignment; when one was assigned that no report has counted. */
  lastAssigned: MemberState | undefined;
  assignedAt = -Infinity;
  /** An orphan has taken its place below its parent, and it was not heard since. */
  isReplaced = false;
  /** Where the index of slots has it. */
  place: Place | undefined;

  /** Children that named it as failed since it was roomy. Two are enough to know. */
  readonly #namedBy = new Set<string>();
  #namedAt = -Infinity;

  constructor(member: Member) {
    this.member = member;
  }

  get peerId(): string {
    return this.member.peerId;
  }

  /** Takes what the member says of itself. `front` is the largest known offset of a member. */
  hear(from: Member, question: Question, front: number, now: number): void {
    this.member = from;
    this.state = question.state;
    this.zone = question.zone.slice(0, MAX_ZONE_LENGTH);
    this.canFetch = question.canFetch;
    this.offset = question.offset;
    this.size = question.size;
    this.lag = Math.max(0, front - question.offset);
    this.heardAt = now;
    this.isReplaced = false;
    this.isClosed = question.children === 0 && !question.isRoomy;
    // A report that is older than an assignment does not know of the child.
    if (question.children < this.expected && now - this.assignedAt <= ASSIGNED_MS) return;
    this.assignedAt = -Infinity;
    this.expected = question.children;
    this.isRoomy = question.isRoomy;
    if (question.isRoomy) this.#namedBy.clear();
  }

  /** Whether it was heard lately enough to be named to others. */
  isFresh(now: number): boolean {
    if (this.lease !== undefined) return now <= this.lease.until;
    return now - this.heardAt <= FRESH_RENEWALS * this.renewMs;
  }

  /** One of its children says that it does not serve. */
  nameFailed(child: MemberState, now: number): void {
    if (this.#namedBy.size < 2) this.#namedBy.add(child.peerId);
    this.#namedAt = now;
  }

  /** Whether one child has named it and it was not heard since, or two have. */
  isAvoided(now: number): boolean {
    if (this.#namedBy.size === 0) return false;
    if (this.#namedAt >= this.heardAt) return true;
    return this.#namedBy.size > 1 && now - this.#namedAt <= AVOID_MS;
  }

  /** Whether it may get a follower at all. */
  canServe(now: number): boolean {
    return this.expected < MAX_FAN_OUT && this.serves(now);
  }

  /** Whether it may have followers, beyond those that it has or not. */
  serves(now: number): boolean {
    if (this.wrongUntil > now || this.isClosed) return false;
    if (this.lease === undefined && this.state !== 'following' && this.parent === undefined)
      return false;
    return this.isFresh(now) && !this.isAvoided(now);
  }
}
