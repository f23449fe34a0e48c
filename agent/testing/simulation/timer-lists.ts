/** A timer that is due at a point of virtual time. It has the methods of Node's `Timeout` that callers use. */
export class VirtualTimer {
  /** When it is due, in milliseconds. */
  at = 0;
  /** Among timers that are due at the same time, the one that was set first fires first. */
  order = 0;
  previous: VirtualTimer = this;
  next: VirtualTimer = this;
  /** The interval of a periodic timer, in milliseconds. */
  readonly periodMs: number | undefined;
  readonly fire: () => void;

  constructor(fire: () => void, periodMs?: number) {
    this.fire = fire;
    this.periodMs = periodMs;
  }

  /** Whether it is to fire. */
  get isSet(): boolean {
    return this.next !== this;
  }

  /** Without effect: the program ends when the simulation does. */
  ref(): this {
    return this;
  }

  /** Without effect, as {@link ref}. */
  unref(): this {
    return this;
  }

  hasRef(): boolean {
    return true;
  }
}

/** The timers of one delay. They are due in the order in which they were set, so that a list keeps them in order. */
class TimerList extends VirtualTimer {
  readonly delayMs: number;

  constructor(delayMs: number) {
    super(() => undefined);
    this.delayMs = delayMs;
  }
}

/**
 * Timers in the order in which they are due: a list for each delay and a binary heap of the lists, as in Node. A program
 * has few delays and many timers, and most are cleared before they are due. Setting a timer and clearing it take
 * constant time.
 *
 * The heap orders each list by a time that is never later than that of its first timer. It may be earlier when timers
 * were cleared, and is corrected when the list comes to the top.
 */
export class TimerLists {
  readonly #lists = new Map<number, TimerList>();
  readonly #heap: TimerList[] = [];
  #order = 0;
  #size = 0;

  /** Sets a timer: it is due `delayMs` after `now`, which must not be less than in an earlier call. */
  set(timer: VirtualTimer, now: number, delayMs: number): void {
    timer.at = now + delayMs;
    timer.order = this.#order++;
    let list = this.#lists.get(delayMs);
    if (list === undefined) {
      list = new TimerList(delayMs);
      list.at = timer.at;
      list.order = timer.order;
      this.#lists.set(delayMs, list);
      this.#heap.push(list);
      this.#rise(this.#heap.length - 1);
    }
    timer.previous = list.previous;
    timer.next = list;
    list.previous.next = timer;
    list.previous = timer;
    this.#size++;
  }

  clear(timer: VirtualTimer): void {
    if (!timer.isSet) return;
    unlink(timer);
    this.#size--;
  }

  /** Timers that are set. */
  get size(): number {
    return this.#size;
  }

  /** Takes the first timer that is due by `until`. */
  take(until: number): VirtualTimer | undefined {
    for (;;) {
      const list = this.#heap[0];
      if (list === undefined) return undefined;
      const first = list.next;
      if (first === list) {
        this.#lists.delete(list.delayMs);
        const last = this.#heap.pop();
        if (last !== undefined && last !== list) this.#sink(last);
      } else if (first.order !== list.order) {
        list.at = first.at;
        list.order = first.order;
        this.#sink(list);
      } else if (first.at > until) return undefined;
      else {
        this.clear(first);
        return first;
      }
    }
  }

  #rise(from: number): void {
    let at = from;
    const list = this.#heap[at];
    while (at > 0 && list !== undefined) {
      const above = (at - 1) >> 1;
      const parent = this.#heap[above];
      if (parent === undefined || !isBefore(list, parent)) break;
      this.#heap[at] = parent;
      at = above;
    }
    if (list !== undefined) this.#heap[at] = list;
  }

  /** Puts a list at the top, and moves it down to its place. */
  #sink(list: TimerList): void {
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      let child = this.#heap[below];
      const right = this.#heap[below + 1];
      if (child === undefined) break;
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        below += 1;
      }
      if (!isBefore(child, list)) break;
      this.#heap[at] = child;
      at = below;
    }
    this.#heap[at] = list;
  }
}

function unlink(timer: VirtualTimer): void {
  timer.previous.next = timer.next;
  timer.next.previous = timer.previous;
  timer.previous = timer;
  timer.next = timer;
}

function isBefore(one: VirtualTimer, other: VirtualTimer): boolean {
  return one.at === other.at ? one.order < other.order : one.at < other.at;
}
