import type { MemberState } from './member-state.ts';

/** The member of a digest with most bytes, of those that are heard. */
export class Front {
  readonly #members: ReadonlyMap<string, MemberState>;
  #first: MemberState | undefined;

  /** @param members of the digest, by peer ID */
  constructor(members: ReadonlyMap<string, MemberState>) {
    this.#members = members;
  }

  /** Its bytes. */
  get offset(): number {
    return this.#first?.offset ?? 0;
  }

  /** A member was heard. */
  hear(member: MemberState, now: number): void {
    if (this.#first === undefined || member.offset > this.#first.offset) this.#first = member;
    else if (this.#first === member || !this.#first.isFresh(now)) this.find(now);
  }

  /** Looks at all members: the first one has failed. */
  find(now: number): void {
    this.#first = undefined;
    for (const member of this.#members.values())
      if (mayFetch(member, now) && member.offset >= this.offset) this.#first = member;
  }

  /** Whether a member that can fetch has more bytes than this one. */
  isAheadOf({ offset }: MemberState, now: number): boolean {
    return this.#first !== undefined && mayFetch(this.#first, now) && this.offset > offset;
  }
}

function mayFetch(member: MemberState, now: number): boolean {
  const { canFetch, state, wrongUntil } = member;
  return canFetch && state !== 'failed' && wrongUntil <= now && member.isFresh(now);
}
