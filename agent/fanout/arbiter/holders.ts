import {
  HOLDER_FAN_OUT,
  HOLDER_MS,
  HOLDER_WINDOW_MS,
  LARGE_BYTES,
  MAX_HOLDERS_EXAMINED,
  MAX_HOLDERS_NAMED,
} from './bounds.ts';
import type { MemberState } from './member-state.ts';

/**
 * Which holders are named: `idle` are those to which few were sent lately, `best` those of them that no other node followed. The
 * links of those that were followed carry further layers of the same image, and all that is behind them would wait.
 */
export type HolderKind = 'best' | 'idle' | 'any';

/** Members that hold all of one digest. Askers get different ones in turn. */
export class Holders {
  readonly #zones = new Map<string, Ring>();
  readonly #all = new Ring();
  /** The zone under which a holder is kept: its next report may name another one. */
  readonly #zoneOf = new Map<MemberState, string>();

  get size(): number {
    return this.#all.size;
  }

  add(member: MemberState): void {
    this.remove(member);
    this.#all.add(member);
    this.#zoneOf.set(member, member.zone);
    let ring = this.#zones.get(member.zone);
    if (ring === undefined) this.#zones.set(member.zone, (ring = new Ring()));
    ring.add(member);
  }

  remove(member: MemberState): void {
    this.#all.remove(member);
    const zone = this.#zoneOf.get(member);
    if (zone === undefined) return;
    this.#zoneOf.delete(member);
    const ring = this.#zones.get(zone);
    ring?.remove(member);
    if (ring?.size === 0) this.#zones.delete(zone);
  }

  /**
   * Up to {@link MAX_HOLDERS_NAMED} for this asker, those of its zone first, without itself and those in `failed`.
   *
   * @param least which ones will do. Default: `best`
   */
  name(
    asker: MemberState,
    failed: ReadonlySet<string>,
    now: number,
    least: HolderKind = 'best',
  ): MemberState[] {
    const named = new Set<MemberState>();
    const rings = asker.zone === '' ? [this.#all] : [this.#zones.get(asker.zone), this.#all];
    for (const ring of rings) {
      for (const holder of ring?.turn() ?? []) {
        if (named.size >= MAX_HOLDERS_NAMED) break;
        if (now - holder.heardAt > HOLDER_MS || holder.wrongUntil > now) this.remove(holder);
        else if (holder === asker || failed.has(holder.peerId)) continue;
        else if (least === 'best' && !isLeaf(holder)) continue;
        else if (least === 'any' || named.size > 0 || this.#isIdle(holder, now)) named.add(holder);
      }
    }
    const [first] = named;
    if (first !== undefined) first.named.times += 1;
    return [...named];
  }

  /** Whether the holder may be named first: of large content none receives it there, of small content few were sent to it lately. */
  #isIdle({ named, children, size = 0 }: MemberState, now: number): boolean {
    if (size >= LARGE_BYTES) {
      const receiving = [...children].filter((child) => child.isFresh(now));
      return receiving.length < HOLDER_FAN_OUT.large;
    }
    if (now - named.since > HOLDER_WINDOW_MS) {
      named.since = now;
      named.times = 0;
    }
    return named.times < HOLDER_FAN_OUT.small;
  }
}

/** Whether a holder was not followed, or has small content, with which it does not matter. */
function isLeaf({ wasFollowed, size = 0 }: MemberState): boolean {
  return !wasFollowed || size < LARGE_BYTES;
}

/** A list with a beginning that moves on. */
class Ring {
  readonly #list: MemberState[] = [];
  readonly #index = new Map<MemberState, number>();
  #next = 0;

  get size(): number {
    return this.#list.length;
  }

  add(member: MemberState): void {
    this.#index.set(member, this.#list.push(member) - 1);
  }

  remove(member: MemberState): void {
    const index = this.#index.get(member);
    if (index === undefined) return;
    this.#index.delete(member);
    const last = this.#list.pop();
    if (last === undefined || last === member) return;
    this.#list[index] = last;
    this.#index.set(last, index);
  }

  /** The next ones, as many as one answer looks at; each call begins after those that the last one can have named. */
  turn(): MemberState[] {
    const size = this.#list.length;
    if (size === 0) return [];
    const begin = this.#next % size;
    this.#next = (begin + MAX_HOLDERS_NAMED) % size;
    const count = Math.min(size, MAX_HOLDERS_EXAMINED);
    const end = this.#list.slice(begin, begin + count);
    return [...end, ...this.#list.slice(0, count - end.length)];
  }
}
