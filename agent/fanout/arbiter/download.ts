import type { Member, Question, Decision } from '../question.ts';
import {
  ALONE_MS,
  FORGET_MS,
  FRESH_RENEWALS,
  HANDOVER_MS,
  MAX_MEMBERS,
  WRONG_MS,
} from './bounds.ts';
import { Front } from './front.ts';
import { Holders } from './holders.ts';
import { Leases, type FetchReason, type LeasesInit } from './leases.ts';
import type { Load } from './load.ts';
import { MemberState } from './member-state.ts';
import type { Placing, Search } from './parent-search.ts';
import { Tree } from './tree.ts';

/** Options of {@link Download}. */
export interface DownloadInit extends LeasesInit {
  /** Levels that are filled with one child each. Default: `MAX_CHAIN`. */
  readonly maxChain?: number;
}

/** One digest: its members, who fetches it, who follows whom, who has it. */
export class Download {
  readonly #load: Load;
  readonly #leases: Leases;
  readonly #tree: Tree;
  readonly #holders = new Holders();
  /** By peer ID; the one that was heard longest ago first. */
  readonly #members = new Map<string, MemberState>();
  readonly #front = new Front(this.#members);
  /** When a member was heard last. */
  heardAt = -Infinity;

  /** @param load counts the members of all digests */
  constructor(load: Load, { maxChain, ...leases }: DownloadInit) {
    this.#load = load;
    this.#leases = new Leases(leases);
    this.#tree = new Tree(maxChain);
  }

  /** Members by peer ID. */
  get members(): ReadonlyMap<string, MemberState> {
    return this.#members;
  }

  /** Members that fetch with a lease. */
  get fetchers(): ReadonlySet<MemberState> {
    return this.#leases.members;
  }

  /** Members that hold all of it. */
  get holders(): number {
    return this.#holders.size;
  }

  answer(from: Member, question: Question, now: number): Decision {
    const leases = this.#leases.members.size;
    const answer = this.#answer(from, question, now);
    this.#load.addLeases(this.#leases.members.size - leases);
    return answer;
  }

  /** Forgets all members. */
  clear(): void {
    this.#load.addLeases(-this.#leases.members.size);
    for (const peerId of this.#members.keys()) this.#load.leave(peerId);
    this.#members.clear();
  }

  #answer(from: Member, question: Question, now: number): Decision {
    const member = this.#hear(from, question, now);
    if (member === undefined) return { kind: 'alone', forMs: ALONE_MS };
    this.#leases.prolong((peerId) => this.#load.heardAt(peerId));
    for (const ended of this.#leases.sweep(now)) this.#tree.update(ended, now);
    const answer =
      question.state === 'wants'
        ? this.#decide(member, question, now)
        : this.#takeReport(member, question, now);
    this.#tree.update(member, now);
    return answer;
  }

  #hear(from: Member, question: Question, now: number): MemberState | undefined {
    this.heardAt = now;
    this.#forgetSilent(now);
    let member = this.#members.get(from.peerId);
    const isNew = member === undefined;
    if (member === undefined) {
      if (this.#members.size >= MAX_MEMBERS || !this.#load.join(from.peerId)) return undefined;
      member = new MemberState(from);
    } else this.#members.delete(from.peerId);
    this.#members.set(from.peerId, member);
    this.#load.heard(from.peerId, now);
    member.hear(from, question, this.#front.offset, now);
    this.#front.hear(member, now);
    // Another arbiter placed it, and has died: it followed the one that it named last.
    const followed =
      isNew && member.offset > 0 ? this.#members.get(question.failed[0] ?? '') : undefined;
    if (followed !== undefined) this.#tree.report(member, followed, now);
    return member;
  }

  #decide(member: MemberState, question: Question, now: number): Decision {
    if (member.wrongUntil > now) return { kind: 'alone', forMs: ALONE_MS };
    const failed = new Set(question.failed);
    this.#holders.remove(member);
    const { offset: front } = this.#front;
    const size = member.size ?? this.#sizeOfFetcher();
    const inZone = this.#leases.isPerZone && member.zone !== '';
    const search: Search = {
      asker: member,
      failed,
      front,
      now,
      inZone,
      ...(size !== undefined && { size }),
    };
    const held = this.#holders.size === 0 ? undefined : this.#useHolders(search);
    if (held !== undefined) return held;
    const { parent } = member;
    if (parent !== undefined && failed.has(parent.peerId)) {
      if (this.#tree.keepsParent(search)) return this.#keep(member, parent, now);
      parent.nameFailed(member, now);
      this.#tree.probeFailed(member, now);
      this.#tree.update(parent, now);
      member.askedAgainAt = now;
    }
    if (member.lease !== undefined) {
      this.#leases.renew(member, this.#load.fetcherRenewMs(), now);
      return { kind: 'fetch', renewMs: this.#renewMs(member) };
    }
    return this.#findSource(search);
  }

  /** Those that were sent to a holder can be followed, where it has enough of them. */
  #useHolders(search: Search): Decision | undefined {
    const { asker, failed, now } = search;
    let holders = this.#holders.name(asker, failed, now);
    if (holders.length === 0) {
      const placing = this.#tree.find(search);
      if (placing !== undefined) return this.#follow(search, placing);
      holders = this.#holders.name(asker, failed, now, 'idle');
      if (holders.length === 0) holders = this.#holders.name(asker, failed, now, 'any');
    }
    const [parent] = holders;
    if (parent === undefined) return undefined;
    this.#leases.release(asker);
    this.#renewMs(asker);
    this.#tree.assign(asker, { parent, reason: 'holder' }, now);
    return { kind: 'held', holders: holders.map(({ member }) => member) };
  }

  #findSource(search: Search): Decision {
    const { asker, now } = search;
    const isExhausted = this.#leases.isExhausted(now);
    const mayFetch = asker.canFetch && !isExhausted;
    if (mayFetch && this.#leases.isFree(asker)) {
      const ahead = this.#findAhead(search);
      return ahead === undefined ? this.#fetch(search, 'next') : this.#follow(search, ahead);
    }
    const assigned = this.#tree.findAssigned(search);
    if (assigned !== undefined) return this.#follow(search, assigned);
    const ofParent = this.#tree.findPlaceOfParent(search);
    if (ofParent === 'fetch') {
      if (mayFetch && this.#leases.hasRoom)
        return this.#fetch(search, 'takes the place of its parent');
    } else if (ofParent !== undefined) return this.#follow(search, ofParent);
    const placing = this.#tree.find(search);
    if (placing !== undefined) return this.#follow(search, placing);
    // The fetchers do not serve this node, or all others follow it.
    if (mayFetch && this.#leases.hasRoom) return this.#fetch(search, 'next');
    this.#leave(asker, now);
    return { kind: 'alone', forMs: ALONE_MS };
  }

  /** Just after a fetcher is lost, one with more bytes is about to ask: one that has fewer follows it, or one below it. */
  #findAhead(search: Search): Placing | undefined {
    const { asker, now } = search;
    if (now - this.#leases.lostAt > HANDOVER_MS || this.#leases.members.size > 0) return undefined;
    if (!this.#front.isAheadOf(asker, now)) return undefined;
    return this.#tree.find({ ...search, takesCutOff: true });
  }

  #fetch({ asker, now }: Search, reason: FetchReason): Decision {
    const isFirst = this.#leases.lostAt === -Infinity && this.#leases.members.size === 0;
    this.#tree.detach(asker, now);
    this.#leases.grant(asker, isFirst ? 'first' : reason, this.#load.fetcherRenewMs(), now);
    const renewMs = this.#renewMs(asker);
    this.#tree.update(asker, now);
    return { kind: 'fetch', renewMs };
  }

  #follow({ asker, now }: Search, placing: Placing): Decision {
    const renewMs = this.#renewMs(asker);
    this.#tree.assign(asker, placing, now);
    return { kind: 'follow', parent: placing.parent.member, renewMs };
  }

  #keep(member: MemberState, parent: MemberState, now: number): Decision {
    member.askedAgainAt = now;
    member.keptAt = now;
    return { kind: 'follow', parent: parent.member, renewMs: this.#renewMs(member) };
  }

  #takeReport(member: MemberState, { state, parent }: Question, now: number): Decision {
    const renewMs = this.#renewMs(member);
    if (state !== 'held') this.#holders.remove(member);
    if (state === 'held') {
      member.wasFollowed ||= member.children.size > 0;
      this.#leases.release(member);
      this.#tree.detach(member, now);
      this.#tree.close(member);
      if (member.wrongUntil <= now) this.#holders.add(member);
    } else if (state === 'fetching') this.#takeFetching(member, now);
    else if (state === 'following') {
      this.#leases.release(member);
      this.#tree.report(member, this.#members.get(parent ?? ''), now);
    } else {
      if (state === 'wrong') member.wrongUntil = now + WRONG_MS;
      this.#leases.fail(member, now);
      this.#tree.remove(member, now);
      this.#front.find(now);
    }
    return { kind: 'go-on', renewMs };
  }

  /** A fetcher whose lease has lapsed may go on, if it has more bytes than when it stalled. */
  #takeFetching(member: MemberState, now: number): void {
    const renewMs = this.#load.fetcherRenewMs();
    const { stalledAt = -1 } = member;
    this.#tree.detach(member, now);
    if (member.lease !== undefined) this.#leases.renew(member, renewMs, now);
    else if (member.canFetch && member.offset > stalledAt && this.#leases.hasRoom)
      this.#leases.grant(member, 'came back', renewMs, now);
    member.renewMs = renewMs;
    this.#tree.update(member, now);
  }

  #sizeOfFetcher(): number | undefined {
    for (const { size } of this.#leases.members) if (size !== undefined) return size;
    return undefined;
  }

  #renewMs(member: MemberState): number {
    const isFetcher = member.lease !== undefined;
    member.renewMs = isFetcher ? this.#load.fetcherRenewMs() : this.#load.followerRenewMs();
    return member.renewMs;
  }

  /** The member asks others from now on; those that follow it do so until it ends. */
  #leave(member: MemberState, now: number): void {
    this.#tree.detach(member, now);
    this.#tree.update(member, now);
  }

  #forgetSilent(now: number): void {
    for (const [peerId, member] of this.#members) {
      const isWrong = member.wrongUntil > now;
      if (isWrong || now - member.heardAt <= Math.max(FORGET_MS, FRESH_RENEWALS * member.renewMs))
        return;
      this.#members.delete(peerId);
      this.#load.leave(peerId);
      this.#leases.release(member);
      this.#holders.remove(member);
      this.#tree.remove(member, now);
    }
  }
}
