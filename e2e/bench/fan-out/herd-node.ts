import { MAX_FAILED } from '../../../agent/fanout/question.ts';

/** A parent is roomy again so long after its last follower came, in milliseconds. */
const SETTLE_MS = 250;
/** A follower keeps up when it lacks no more than the parent received in this time, in milliseconds. */
const KEEP_UP_MS = 50;
/** A parent that was too slow for its followers does not take so many again for this time, in milliseconds. */
const SHORT_MS = 60_000;
/** A follower that receives nothing for so long asks again, in milliseconds. */
export const SILENT_MS = 1_200;
/** A follower is slow when it gets less than this part of its share of what the parent receives. */
const SLOW_PART = 0.4;
/** A slow follower is ended after so long, in milliseconds. */
const SLOW_MS = 300;
/** A node that was ended twice in this time takes no followers for as long, in milliseconds. */
export const CLOSED_MS = 60_000;
/** Followers of one parent. */
const MAX_FOLLOWERS = 8;

/** What a node does. `apart`: it fetches from the upstream registry without a lease. `peer`: it receives from a holder. */
export type Doing = 'asks' | 'fetches' | 'apart' | 'follows' | 'peer' | 'done' | 'dead';

/** A node of the fluid model: its bytes, and the rules of a follower and of a parent. */
export class HerdNode {
  readonly id: string;
  readonly zone: string;
  readonly arrivedAt: number;
  /** Bytes a millisecond that its link carries in each direction. */
  readonly link: number;
  doing: Doing = 'asks';
  /** Bytes that it has, and those that it had one step before. */
  offset = 0;
  before = 0;
  /** Bytes a millisecond, over the last steps. */
  rate = 0;
  parent: HerdNode | undefined;
  /** In the order in which they came. */
  readonly followers: HerdNode[] = [];
  readonly peers: HerdNode[] = [];
  failed: readonly string[] = [];
  grewAt = 0;
  doneAt = Infinity;
  /** From then on bytes come from the upstream registry. */
  flowsAt = 0;
  /** Raised when it changes what it does: events of before do not count. */
  epoch = 0;
  lastCameAt = -Infinity;
  /** When a parent ended it last, and until when it takes no followers. */
  endedAt = -Infinity;
  closedUntil = -Infinity;
  /** Since when it gets less than its share, of its parent. */
  slowSince = Infinity;
  /** Followers that came although it had said that it has no room. */
  readonly #forced = new Set<HerdNode>();
  readonly #accepted = new Set<HerdNode>();
  #shortUntil = -Infinity;
  #shortWith = Infinity;
  #keptUpSince = -Infinity;

  constructor(
    id: string,
    { zone, arrivedAt, link }: { zone: string; arrivedAt: number; link: number },
  ) {
    this.id = id;
    this.zone = zone;
    this.arrivedAt = arrivedAt;
    this.link = link;
  }

  get isAlive(): boolean {
    return this.doing !== 'dead';
  }

  /** Whether it says that it can serve one more as fast. */
  isRoomy(now: number): boolean {
    const { length } = this.followers;
    if (now < this.closedUntil) return false;
    if (length === 0) return true;
    if (length >= MAX_FOLLOWERS || (now < this.#shortUntil && length + 1 >= this.#shortWith))
      return false;
    return now - Math.max(this.#keptUpSince, this.lastCameAt) >= SETTLE_MS;
  }

  /** Takes a follower, if it is not one too many. */
  admit(follower: HerdNode, now: number): boolean {
    const canServe =
      this.doing === 'fetches' ||
      this.doing === 'follows' ||
      this.doing === 'apart' ||
      this.doing === 'asks' ||
      this.doing === 'peer';
    if (!canServe || now < this.closedUntil || this.followers.length >= MAX_FOLLOWERS) return false;
    if (!this.isRoomy(now)) this.#forced.add(follower);
    // A follower that takes no followers itself harms none by being slow.
    if (now < follower.closedUntil) this.#accepted.add(follower);
    follower.slowSince = Infinity;
    this.followers.push(follower);
    this.lastCameAt = now;
    return true;
  }

  release(follower: HerdNode): void {
    const index = this.followers.indexOf(follower);
    if (index >= 0) this.followers.splice(index, 1);
    this.#forced.delete(follower);
    this.#accepted.delete(follower);
  }

  /** Watches who keeps up. @returns the follower to end */
  watch(now: number): HerdNode | undefined {
    if (this.followers.length === 0) return undefined;
    const slack = this.rate * KEEP_UP_MS + 1;
    const slow = this.followers.filter(({ offset }) => this.before - offset > slack);
    const settled = slow.filter((follower) => !this.#accepted.has(follower));
    if (settled.length > 0) this.#keptUpSince = now;
    const least = (SLOW_PART * this.rate) / this.followers.length;
    for (const follower of this.followers) {
      if (!slow.includes(follower) || follower.rate >= least) follower.slowSince = Infinity;
      else if (follower.slowSince === Infinity) follower.slowSince = now;
      else if (now - follower.slowSince >= SLOW_MS && !this.#accepted.has(follower))
        return follower;
    }
    if (settled.length < 2 || now - this.lastCameAt < SETTLE_MS) return undefined;
    const last = this.followers.at(-1);
    if (last === undefined || this.#forced.has(last) || !settled.includes(last)) return undefined;
    this.#shortUntil = now + SHORT_MS;
    this.#shortWith = this.followers.length;
    return last;
  }

  remember(peerId: string): void {
    this.failed = [peerId, ...this.failed.filter((each) => each !== peerId)].slice(0, MAX_FAILED);
  }
}
