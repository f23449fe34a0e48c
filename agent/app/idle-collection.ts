import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { trimFreedMemory } from '../native/malloc.ts';
import type { Part } from './lifecycle.ts';

/** Between two looks, in milliseconds. */
const INTERVAL_MS = 10_000;
/** Share of a processor up to which the process counts as idle. */
const IDLE_SHARE = 0.03;
/** By how much the process has to have grown since the last collection to make another one worth it, in bytes. */
const WORTH_BYTES = 2 * 1024 * 1024;
/** Growth that is given back at the next idle moment, whatever the last collection cost, in bytes. */
const URGENT_BYTES = 16 * 1024 * 1024;
/** Share of a processor that collecting may take, unless it is urgent. */
const BUDGET_SHARE = 0.001;

/** V8's own, see {@link garbageCollector}. */
type Collect = (options: {
  readonly type: 'major';
  readonly flavor: 'last-resort';
  readonly execution: 'async';
}) => Promise<void>;

/** What {@link IdleCollection} looks at and calls. */
export interface IdleCollectionComponents {
  /** Microseconds of processor time since the start. Default: those of this process. */
  readonly cpuTime?: () => number;
  /** Bytes of memory, buffers outside of the heap included. Default: the resident ones of this process. */
  readonly memoryBytes?: () => number;
  /** Default: V8's collector. */
  readonly collect?: Collect;
}

/**
 * Gives memory back while nothing is going on. V8 collects when a heap has grown by its share, not when there is
 * time, and its pages stay half empty afterwards: with 100 peers and their records 18 of 38 MiB of the old generation
 * were. The collection blocks the event loop for some tens of milliseconds, which is why it waits
 * for ten seconds of idleness, and is not repeated before the process has grown again. As an idle process, too, grows
 * by a few MiB a minute until V8 collects of its own, a collection that took 100 ms of processor time is followed by
 * 100 s without: else collecting is most of what an idle agent costs.
 */
export class IdleCollection implements Part {
  readonly #cpuTime: () => number;
  readonly #memoryBytes: () => number;
  readonly #collect: Collect;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #lastCpuTime = 0;
  #bytesAfter = 0;
  #looksToSkip = 0;

  /** @param intervalMs default {@link INTERVAL_MS} */
  constructor(components: IdleCollectionComponents = {}, intervalMs = INTERVAL_MS) {
    this.#cpuTime = components.cpuTime ?? processCpuTime;
    this.#memoryBytes = components.memoryBytes ?? (() => process.memoryUsage.rss());
    this.#collect = components.collect ?? garbageCollector();
    this.#intervalMs = intervalMs;
  }

  start(): void {
    this.#lastCpuTime = this.#cpuTime();
    this.#timer = setInterval(() => void this.#look(), this.#intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    const cpuTime = this.#cpuTime();
    const share = (cpuTime - this.#lastCpuTime) / 1000 / this.#intervalMs;
    this.#lastCpuTime = cpuTime;
    const worth = this.#looksToSkip > 0 ? URGENT_BYTES : WORTH_BYTES;
    this.#looksToSkip = Math.max(0, this.#looksToSkip - 1);
    if (share > IDLE_SHARE || this.#memoryBytes() < this.#bytesAfter + worth) return;
    await this.#collect({ type: 'major', flavor: 'last-resort', execution: 'async' });
    trimFreedMemory();
    this.#bytesAfter = this.#memoryBytes();
    // What it cost itself is not to count as work.
    this.#lastCpuTime = this.#cpuTime();
    const costMs = (this.#lastCpuTime - cpuTime) / 1000;
    this.#looksToSkip = Math.floor(costMs / BUDGET_SHARE / this.#intervalMs);
  }
}

function processCpuTime(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** V8's collector, which Node.js shows to programs that were started with a flag, or that set it themselves. */
function garbageCollector(): Collect {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as Collect;
}
