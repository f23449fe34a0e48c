import { DISTURBED_MS, KEEP_MS, QUIET_GAPS, QUIET_MS } from './bounds.ts';
import type { Lease } from './leases.ts';
import type { MemberState } from './member-state.ts';
import { isSource, levelOf, ParentSearch, type Placing, type Search } from './parent-search.ts';
import { Probing } from './probing.ts';
import { kindOf, Slots } from './slots.ts';

/**
 * Who follows whom in one digest. Edges are what the arbiter assigned and what followers report of themselves. There is never
 * a cycle: an edge that would close one is not made.
 */
export class Tree {
  readonly #slots = new Slots();
  readonly #probing = new Probing();
  readonly #search: ParentSearch;

  /** @param maxChain levels that are filled with one child each at most. Default: `MAX_CHAIN` */
  constructor(maxChain?: number) {
    this.#search = new ParentSearch(this.#slots, this.#probing, maxChain);
  }

  /** A parent, or `undefined` when there is none for this member. */
  find(search: Search): Placing | undefined {
    return this.#search.find(search);
  }

  /**
   * Whether a member is to keep the parent that it named as failed. When the flow stops somewhere, all below fall silent at the same
   * time and ask; if each got another parent, the whole tree would be made anew, and thousands would go upstream.
   */
  keepsParent({ asker, failed, now }: Search): boolean {
    const { parent } = asker;
    if (parent === undefined || !failed.has(parent.peerId)) return false;
    if (now - asker.keptAt < KEEP_MS || parent.isClosed || parent.wrongUntil > now) return false;
    if (!parent.isFresh(now)) return false;
    const { lease } = topOf(parent);
    if (lease !== undefined && lease.offset <= lease.base) return true;
    if (parent.lease !== undefined) return false;
    if (now - parent.askedAgainAt <= DISTURBED_MS) return true;
    return lease !== undefined && now - lease.grewAt > quietAfter(lease);
  }

  /**
   * The parent that was assigned to a member which asks again, and does not name it as failed: the answer was late, or lost. With another
   * one the first would keep a place for a child that never comes, and two children would share the link of the other.
   */
  findAssigned({ asker, failed, now }: Search): Placing | undefined {
    const { parent, isAssigned } = asker;
    if (parent === undefined || !isAssigned || failed.has(parent.peerId)) return undefined;
    if (!parent.serves(now) || !isSource(topOf(parent))) return undefined;
    return { parent, reason: 'asked again' };
  }

  /**
   * The place of a parent that failed, for a child of it: below the first member above it that did not. Only for a child that can tell
   * that the parent is gone: one that shared the parent with others and came last may have been ended as too slow.
   *
   * @returns `fetch` when the parent was a fetcher, or `undefined` when the general rules hold
   */
  findPlaceOfParent(search: Search): Placing | 'fetch' | undefined {
    const { asker, failed, now } = search;
    const { parent } = asker;
    if (parent === undefined || !failed.has(parent.peerId) || parent.isReplaced) return undefined;
    if (asker.isClosed) return undefined;
    if (parent.children.size > 1 && parent.lastAssigned === asker) return undefined;
    let above = parent;
    for (;;) {
      if (above.lease !== undefined) break;
      if (above.parent === undefined) return undefined;
      above = above.parent;
      if (!failed.has(above.peerId) && !above.isAvoided(now) && above.isFresh(now)) break;
    }
    // Later orphans of the same parent get places of their own.
    parent.isReplaced = true;
    if (failed.has(above.peerId)) return 'fetch';
    this.detach(parent, now);
    if (!above.canServe(now)) return undefined;
    // One beside the parent that has no child is as good, and keeps the line one.
    for (const beside of above.children) {
      if (beside === asker || beside.expected > 0 || failed.has(beside.peerId)) continue;
      if (beside.canServe(now)) return { parent: beside, reason: 'free' };
    }
    return { parent: above, reason: 'place of its parent' };
  }

  /** Makes `parent` the parent of `child` by assignment: the arbiter counts it until the parent does. */
  assign(child: MemberState, { parent, reason }: Placing, now: number): void {
    this.#link(child, parent, now);
    child.isAssigned = true;
    parent.expected += 1;
    parent.isRoomy = false;
    parent.lastAssigned = child;
    parent.assignedAt = now;
    if (reason === 'probe') this.#probing.begin(child, parent, now);
    this.update(parent, now);
    this.update(child, now);
  }

  /** A member says whom it follows. Such an edge takes no place: the parent itself reports its children. */
  report(child: MemberState, parent: MemberState | undefined, now: number): void {
    if (child.parent !== parent) {
      this.detach(child, now);
      if (parent !== undefined) this.#link(child, parent, now);
    }
    this.update(child, now);
  }

  /** A member does not follow any more, or another one from now on. */
  detach(child: MemberState, now: number): void {
    const { parent } = child;
    if (parent === undefined) return;
    child.parent = undefined;
    parent.children.delete(child);
    if (parent.lastAssigned === child) parent.lastAssigned = undefined;
    // An edge by report was never counted here: else any member could make the place of another one look free.
    if (child.isAssigned) parent.expected = Math.max(0, parent.expected - 1);
    child.isAssigned = false;
    this.update(parent, now);
  }

  /** The parent that was a probe did not serve this member as fast as the others. */
  probeFailed(child: MemberState, now: number): void {
    this.#probing.failed(child, now);
  }

  /** Takes a member out. Its children are orphans, and say so when they notice. */
  remove(member: MemberState, now: number): void {
    this.detach(member, now);
    for (const child of member.children) child.parent = undefined;
    member.children.clear();
    this.#slots.remove(member);
    this.#probing.forget(member);
  }

  /** Takes a member out of the places, but leaves its children with it: they still receive from it. */
  close(member: MemberState): void {
    this.#slots.remove(member);
  }

  /** Puts a member where it belongs among the places, after it was heard or has got a child. */
  update(member: MemberState, now: number): void {
    this.#probing.reported(member);
    const kind = member.canServe(now) ? kindOf(member) : undefined;
    if (kind === undefined) this.#slots.remove(member);
    else this.#slots.put(member, kind, levelOf(member));
  }

  #link(child: MemberState, parent: MemberState, now: number): void {
    this.detach(child, now);
    // All walks rely on it: a cycle would never end.
    if (isInLine(parent, child)) return;
    child.parent = parent;
    parent.children.add(child);
  }
}

/**
 * After how long the silence of a fetcher explains those below it, in milliseconds. It grows in steps of 1 MiB, which take more than
 * {@link QUIET_MS} on thin links: a step that is not late explains nothing.
 */
function quietAfter({ longestGap, firstGap = 0 }: Lease): number {
  return Math.max(QUIET_MS, (longestGap ?? firstGap) * QUIET_GAPS);
}

function topOf(member: MemberState): MemberState {
  let top = member;
  while (top.parent !== undefined) top = top.parent;
  return top;
}

/** Whether `member` is `from` or a parent above it. */
function isInLine(from: MemberState, member: MemberState): boolean {
  for (let above: MemberState | undefined = from; above !== undefined; above = above.parent)
    if (above === member) return true;
  return false;
}
