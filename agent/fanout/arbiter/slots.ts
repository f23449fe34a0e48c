import { MAX_FAN_OUT, MAX_LEVEL } from './bounds.ts';
import type { MemberState } from './member-state.ts';

/**
 * What kind of parent a member would be: `leaf` has no child; `roomy` has children and has said that it can serve one more;
 * the others have not: `one` has one child, `few` two or three, `many` more.
 */
export type SlotKind = 'leaf' | 'roomy' | 'one' | 'few' | 'many';

/** Where a member stands in the index. */
export interface Place {
  readonly kind: SlotKind;
  readonly level: number;
  readonly zone: string;
}

/** In which order places are visited. */
export type Order = 'shallowest' | 'deepest';

/** What kind of parent the member would be; `undefined` for one with too many children. */
export function kindOf({ expected, isRoomy }: MemberState): SlotKind | undefined {
  if (expected === 0) return 'leaf';
  if (expected >= MAX_FAN_OUT) return undefined;
  if (isRoomy) return 'roomy';
  if (expected === 1) return 'one';
  return expected < 4 ? 'few' : 'many';
}

/**
 * Members that may get a child, by kind, level and zone, so that a question looks at a few of them and not at all. The level is the one when
 * a member was put here: a subtree that moves is put right when its members are visited or report.
 */
export class Slots {
  readonly #all = new Levels();
  readonly #zones = new Map<string, Levels>();

  /** Puts a member in its place, out of the one that it had. */
  put(member: MemberState, kind: SlotKind, level: number): void {
    const { place } = member;
    const clamped = Math.min(level, MAX_LEVEL);
    if (place?.kind === kind && place.level === clamped && place.zone === member.zone) return;
    this.remove(member);
    member.place = { kind, level: clamped, zone: member.zone };
    this.#all.at(kind, clamped).add(member);
    if (member.zone === '') return;
    let levels = this.#zones.get(member.zone);
    if (levels === undefined) this.#zones.set(member.zone, (levels = new Levels()));
    levels.at(kind, clamped).add(member);
    levels.size += 1;
  }

  /** Takes a member out, if it is here. */
  remove(member: MemberState): void {
    const { place } = member;
    if (place === undefined) return;
    member.place = undefined;
    this.#all.at(place.kind, place.level).delete(member);
    const levels = this.#zones.get(place.zone);
    if (levels === undefined) return;
    levels.at(place.kind, place.level).delete(member);
    levels.size -= 1;
    if (levels.size === 0) this.#zones.delete(place.zone);
  }

  /**
   * Members of these kinds above `below`, in this order of levels. Members may be put and removed meanwhile.
   *
   * @param zone only of this zone; all when it is undefined
   */
  *visit(
    kinds: readonly SlotKind[],
    order: Order,
    below: number,
    zone?: string,
  ): Generator<MemberState, void, undefined> {
    const levels = zone === undefined ? this.#all : this.#zones.get(zone);
    if (levels === undefined) return;
    const depth = Math.min(levels.depth(kinds), below, MAX_LEVEL + 1);
    for (let index = 0; index < depth; index += 1) {
      const level = order === 'shallowest' ? index : depth - 1 - index;
      for (const kind of kinds) {
        const members = levels.find(kind, level);
        if (members !== undefined && members.size > 0) yield* members;
      }
    }
  }
}

/** The sets of one index. An empty set stays: levels are bounded and few. */
class Levels {
  /** Members of a zone. */
  size = 0;
  readonly #kinds: Record<SlotKind, Set<MemberState>[]> = {
    leaf: [],
    roomy: [],
    one: [],
    few: [],
    many: [],
  };

  at(kind: SlotKind, level: number): Set<MemberState> {
    const sets = this.#kinds[kind];
    let set = sets[level];
    while (set === undefined) {
      sets.push(new Set());
      set = sets[level];
    }
    return set;
  }

  find(kind: SlotKind, level: number): Set<MemberState> | undefined {
    return this.#kinds[kind][level];
  }

  /** One more than the deepest level that any of these kinds has had. */
  depth(kinds: readonly SlotKind[]): number {
    return Math.max(...kinds.map((kind) => this.#kinds[kind].length));
  }
}
