import { syncBuiltinESMExports } from 'node:module';
import timersPromises from 'node:timers/promises';

import { TimerLists, VirtualTimer } from './timer-lists.ts';

/** Steps that are queued with the event loop at once. */
const STEPS = 512;
/** Virtual time at the beginning, in milliseconds: some code takes 0 for "not set". */
const START_MS = 1000;
/** `Date.now` at the beginning. */
const START_DATE = Date.UTC(2026, 0, 1);

const real = {
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  setImmediate: globalThis.setImmediate,
  clearImmediate: globalThis.clearImmediate,
  dateNow: Date.now,
  timeout: Object.getOwnPropertyDescriptor(AbortSignal, 'timeout') ?? {},
  pause: timersPromises.setTimeout,
  turn: timersPromises.setImmediate,
};

interface PauseOptions {
  readonly signal?: AbortSignal;
}

/**
 * A clock that stands still until {@link run}. While it is installed it takes the place of the timers of Node, of
 * `node:timers/promises`, `performance.now`, `Date.now` and `AbortSignal.timeout`. Timers fire in the order in which they
 * are due. Between two of them all microtasks run, so that a promise chain without timers takes no virtual time.
 */
export class VirtualClock {
  readonly #timers = new TimerLists();
  #now = START_MS;
  /** Timers that have fired. */
  fired = 0;

  /** Milliseconds. */
  get now(): number {
    return this.#now;
  }

  /** Timers that are set. */
  get pending(): number {
    return this.#timers.size;
  }

  /** Calls back after a time, which may be a fraction of a millisecond. */
  schedule(delayMs: number, callback: () => void): VirtualTimer {
    const timer = new VirtualTimer(callback);
    this.#timers.set(timer, this.#now, delayMs);
    return timer;
  }

  /** Lets a time pass: fires all timers that are due in it. Resolves when all of them and what follows have run. */
  run(milliseconds: number): Promise<void> {
    const until = this.#now + milliseconds;
    return new Promise((resolve) => {
      let isOver = false;
      const step = (): void => {
        if (isOver) return;
        const timer = this.#timers.take(until);
        if (timer !== undefined) {
          this.#fire(timer);
          return;
        }
        isOver = true;
        this.#now = until;
        resolve();
      };
      // Node runs all microtasks between two callbacks of one batch.
      const queue = (): void => {
        for (let count = 0; count < STEPS; count++) real.setImmediate(step);
        if (!isOver) real.setImmediate(queue);
      };
      queue();
    });
  }

  /** Takes the place of the real clock, until it is disposed of. */
  install(): Disposable {
    const later = (callback: (...args: unknown[]) => void, delay?: number, ...args: unknown[]) =>
      this.schedule(
        wholeMs(delay),
        args.length === 0
          ? callback
          : () => {
              callback(...args);
            },
      );
    const clear = (timer: unknown): void => {
      if (timer instanceof VirtualTimer) this.#timers.clear(timer);
      else real.clearTimeout(timer as NodeJS.Timeout | undefined);
    };
    Object.assign(globalThis, {
      setTimeout: later,
      clearTimeout: clear,
      setInterval: (callback: () => void, delay?: number) => {
        const periodMs = wholeMs(delay);
        const timer = new VirtualTimer(callback, periodMs);
        this.#timers.set(timer, this.#now, periodMs);
        return timer;
      },
      clearInterval: clear,
      setImmediate: (callback: () => void) => this.schedule(0, callback),
      clearImmediate: clear,
    });
    performance.now = () => this.#now;
    Date.now = () => START_DATE + Math.floor(this.#now);
    AbortSignal.timeout = (milliseconds) => this.#timeout(milliseconds);
    this.#installPromises((delay, value, options) => this.#pause(delay, value, options));
    return {
      [Symbol.dispose]: () => {
        const { setTimeout, clearTimeout, setInterval, clearInterval } = real;
        const { setImmediate, clearImmediate } = real;
        const timers = { setTimeout, clearTimeout, setInterval, clearInterval };
        Object.assign(globalThis, { ...timers, setImmediate, clearImmediate });
        Reflect.deleteProperty(performance, 'now');
        Date.now = real.dateNow;
        Object.defineProperty(AbortSignal, 'timeout', real.timeout);
        Object.assign(timersPromises, { setTimeout: real.pause, setImmediate: real.turn });
        syncBuiltinESMExports();
      },
    };
  }

  #installPromises(
    pause: (delay: number | undefined, value: unknown, options?: PauseOptions) => Promise<unknown>,
  ): void {
    Object.assign(timersPromises, {
      setTimeout: pause,
      setImmediate: (value: unknown) =>
        new Promise((resolve) => {
          this.schedule(0, () => {
            resolve(value);
          });
        }),
    });
    syncBuiltinESMExports();
  }

  #fire(timer: VirtualTimer): void {
    this.#now = timer.at;
    this.fired += 1;
    if (timer.periodMs !== undefined) this.#timers.set(timer, this.#now, timer.periodMs);
    timer.fire();
  }

  #pause(
    delay: number | undefined,
    value: unknown,
    { signal }: PauseOptions = {},
  ): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers();
    const abort = (): void => {
      this.#timers.clear(timer);
      const options = { cause: signal?.reason as unknown };
      reject(
        Object.assign(new Error('The operation was aborted', options), { name: 'AbortError' }),
      );
    };
    const timer = this.schedule(wholeMs(delay), () => {
      signal?.removeEventListener('abort', abort);
      resolve(value);
    });
    if (signal?.aborted === true) abort();
    else signal?.addEventListener('abort', abort, { once: true });
    return promise;
  }

  #timeout(milliseconds: number): AbortSignal {
    const controller = new AbortController();
    this.schedule(milliseconds, () => {
      controller.abort(new DOMException('timed out', 'TimeoutError'));
    });
    return controller.signal;
  }
}

/** The delay that Node's timers make of a number: whole milliseconds, at least one. */
function wholeMs(delay = 1): number {
  return delay >= 1 && delay < 2 ** 31 ? Math.trunc(delay) : 1;
}
