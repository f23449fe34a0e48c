import {
  BYTES_PER_LEVEL,
  CHAIN_OF_UNKNOWN_SIZE,
  MAX_CHAIN,
  MAX_EXAMINED,
  PROBE_LEVEL,
  ZONE_LEVELS,
} from './bounds.ts';
import type { MemberState } from './member-state.ts';
import type { Probing } from './probing.ts';
import type { Order, SlotKind, Slots } from './slots.ts';

/** Why a parent was chosen, for people who debug. */
type PlaceReason =
  | 'free'
  | 'asked again'
  | 'probe'
  | 'place of its parent'
  | 'forced'
  | 'beyond the chain'
  | 'beside others'
  | 'holder';

/** A parent for a member. */
export interface Placing {
  readonly parent: MemberState;
  readonly reason: PlaceReason;
}

/** What a member looks for. */
export interface Search {
  readonly asker: MemberState;
  /** Peer IDs that did not serve it. */
  readonly failed: ReadonlySet<string>;
  /** The largest known offset of a member. */
  readonly front: number;
  /** Whether any place in the zone is better than those elsewhere. Default: false. */
  readonly inZone?: boolean;
  /** Bytes of the content, as the asker or a fetcher says. Default: unknown. */
  readonly size?: number;
  readonly now: number;
  /** Whether a parent without a fetcher above it will do. Default: false. */
  readonly takesCutOff?: boolean;
}

/** A candidate, the level of its children, and whether something speaks against it. */
interface Found {
  readonly parent: MemberState;
  readonly level: number;
  readonly isSecondBest: boolean;
}

/** Parents that are tried when all places above {@link MAX_CHAIN} are taken, in this order. */
const FORCED: readonly SlotKind[] = ['one', 'few', 'many'];
const BESIDE_OTHERS: readonly (readonly SlotKind[])[] = [
  ['roomy', 'one'],
  ['few'],
  ['many'],
  ['leaf'],
];
const EVERY_KIND: readonly SlotKind[] = ['leaf', 'roomy', ...FORCED];

/** Finds parents among the slots of one digest, by the rules of docs/design/fan-out.md. */
export class ParentSearch {
  readonly #slots: Slots;
  readonly #probing: Probing;
  readonly #maxChain: number;

  /** @param maxChain levels that are filled with one child each at most. Default: {@link MAX_CHAIN} */
  constructor(slots: Slots, probing: Probing, maxChain = MAX_CHAIN) {
    this.#slots = slots;
    this.#probing = probing;
    this.#maxChain = maxChain;
  }

  /** A parent by the rules of docs/design/fan-out.md, or `undefined` when there is none for it. */
  find(search: Search): Placing | undefined {
    const near = search.inZone === true ? this.#find(search) : undefined;
    return near ?? this.#find({ ...search, inZone: false });
  }

  #find(search: Search): Placing | undefined {
    if (search.asker.isClosed) return this.#findForClosed(search);
    const isOrphan = search.asker.offset > 0;
    const chain = this.#chainFor(search.size);
    const free = this.#search(search, ['leaf'], 'shallowest', chain);
    if (this.#probing.isAllowed(search.now)) {
      const probe = this.#findProbe(search, free?.level ?? chain);
      if (probe !== undefined) return { parent: probe.parent, reason: 'probe' };
    }
    if (free !== undefined) return { parent: free.parent, reason: 'free' };
    for (const kind of FORCED) {
      const order = isOrphan ? 'deepest' : 'shallowest';
      const forced = this.#search(search, [kind], order, chain);
      if (forced !== undefined) return { parent: forced.parent, reason: 'forced' };
    }
    const beyond = this.#search(search, EVERY_KIND, 'shallowest', Infinity);
    return beyond && { parent: beyond.parent, reason: 'beyond the chain' };
  }

  /** Levels that are filled with one child each. */
  #chainFor(size: number | undefined): number {
    const levels =
      size === undefined ? CHAIN_OF_UNKNOWN_SIZE : Math.max(1, Math.ceil(size / BYTES_PER_LEVEL));
    return Math.min(levels, this.#maxChain);
  }

  /** A member that takes no child would end a chain: it goes beside others, where fewest are below. */
  #findForClosed(search: Search): Placing | undefined {
    for (const kinds of BESIDE_OTHERS) {
      const found = this.#search(search, kinds, 'deepest', Infinity);
      if (found !== undefined) return { parent: found.parent, reason: 'beside others' };
    }
    return undefined;
  }

  /** While no probe has succeeded, the deepest parent: when it fails, it slows few. Then the shallowest. */
  #findProbe(search: Search, below: number): Found | undefined {
    if (below < PROBE_LEVEL) return undefined;
    const order = this.#probing.isProven ? 'shallowest' : 'deepest';
    return this.#search(search, ['roomy'], order, below);
  }

  /** The best place in the zone of the asker, unless one elsewhere is better by more than {@link ZONE_LEVELS}. */
  #search(
    search: Search,
    kinds: readonly SlotKind[],
    order: Order,
    below: number,
  ): Found | undefined {
    const { zone } = search.asker;
    const near = zone === '' ? undefined : this.#scan(search, kinds, order, below, zone);
    if (search.inZone === true) return near;
    if (near !== undefined && !near.isSecondBest && near.level <= ZONE_LEVELS) return near;
    const any = this.#scan(search, kinds, order, below);
    if (near === undefined || any === undefined) return any ?? near;
    if (near.isSecondBest !== any.isSecondBest) return near.isSecondBest ? any : near;
    return near.level <= any.level + ZONE_LEVELS ? near : any;
  }

  #scan(
    search: Search,
    kinds: readonly SlotKind[],
    order: Order,
    below: number,
    zone?: string,
  ): Found | undefined {
    let second: Found | undefined;
    let examined = 0;
    for (const parent of this.#slots.visit(kinds, order, below, zone)) {
      if (examined++ >= MAX_EXAMINED) break;
      const found = this.#examine(parent, search, below);
      if (found === undefined) continue;
      if (!found.isSecondBest) return found;
      second ??= found;
    }
    return second;
  }

  /** Walks the line of parents, and puts a candidate right that the index has in the wrong place. */
  #examine(parent: MemberState, search: Search, below: number): Found | undefined {
    const { asker, failed, front, now } = search;
    if (!parent.canServe(now)) {
      this.#slots.remove(parent);
      return undefined;
    }
    if (parent === asker || failed.has(parent.peerId)) return undefined;
    let level = 0;
    let isBelowFailed = false;
    let top = parent;
    while (top.parent !== undefined) {
      top = top.parent;
      if (top === asker) return undefined;
      if (failed.has(top.peerId)) isBelowFailed = true;
      level += 1;
    }
    // One that an orphan replaced may still follow its parent of before, and so the asker.
    if (!isSource(top) && (search.takesCutOff !== true || top.isReplaced)) return undefined;
    const known = parent.place;
    if (known !== undefined && known.level !== level) {
      this.#slots.put(parent, known.kind, level);
      if (level >= below) return undefined;
    }
    const isBehind = parent.lag > Math.max(0, front - asker.offset) + front / 16;
    return { parent, level: level + 1, isSecondBest: isBelowFailed || isBehind };
  }
}

/** Whether bytes begin there. */
export function isSource({ lease, state }: MemberState): boolean {
  return lease !== undefined || state === 'held';
}

/** Parents above a member. */
export function levelOf({ parent }: MemberState): number {
  let level = 0;
  for (let above = parent; above !== undefined; above = above.parent) level += 1;
  return level;
}
