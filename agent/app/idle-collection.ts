import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { trimFreedMemory } from '../native/malloc.ts';
import type { Part } from './lifecycle.ts';

/** Time between two checks, in milliseconds. */
const INTERVAL_MS = 10_000;
/** Share of a processor up to which the process counts as idle. */
const IDLE_SHARE = 0.03;
/** Growth since the last collection that makes another one worth its cost, in bytes. */
const WORTHWHILE_BYTES = 2 * 1024 * 1024;
/** Growth that is collected at the next idle check, whatever the last collection cost, in bytes. */
const URGENT_BYTES = 8 * 1024 * 1024;
/** Share of a processor that collections may take, unless one is urgent. */
const COST_SHARE = 0.0004;

/** V8's own, see {@link garbageCollector}. */
type Collect = (options: {
  readonly type: 'major';
  readonly flavor: 'last-resort';
  readonly execution: 'async';
}) => Promise<void>;

/** The measurements and the collector of an {@link IdleCollection}. */
export interface IdleCollectionComponents {
  /** Microseconds of processor time since the start. Default: those of this process. */
  readonly cpuTime?: () => number;
  /** Bytes of memory, buffers outside of the heap included. Default: the resident ones of this process. */
  readonly memoryBytes?: () => number;
  /** Default: V8's collector. */
  readonly collect?: Collect;
}

/**
 * Collects garbage while the process is idle, and returns the freed memory to the system.
 *
 * V8 collects when a heap has grown by its share, not when there is time, and leaves its pages half empty. With 100
 * peers and their records, 18 of 38 MiB of the old generation were free. In one run side by side, an agent with this
 * part took 95 MiB ninety seconds after its traffic, and one without took 123 MiB (docs/BENCHMARKS.md, "Idle
 * collection"). That is why it stays.
 *
 * A collection blocks the event loop for some tens of milliseconds. Therefore it waits for ten idle seconds, and for
 * growth since the last one. An idle process grows too, by a few MiB a minute until V8 collects. A collection that took
 * 100 ms of CPU is therefore followed by 250 s without one; otherwise collecting would be most of what an idle agent
 * costs. What is urgent, as after traffic, does not wait.
 */
export class IdleCollection implements Part {
  readonly #cpuTime: () => number;
  readonly #memoryBytes: () => number;
  readonly #collect: Collect;
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | undefined;
  #lastCpuTime = 0;
  #bytesAfter = 0;
  #checksToSkip = 0;

  /** @param intervalMs default {@link INTERVAL_MS} */
  constructor(components: IdleCollectionComponents = {}, intervalMs = INTERVAL_MS) {
    this.#cpuTime = components.cpuTime ?? processCpuTime;
    this.#memoryBytes = components.memoryBytes ?? (() => process.memoryUsage.rss());
    this.#collect = components.collect ?? garbageCollector();
    this.#intervalMs = intervalMs;
  }

  start(): void {
    this.#lastCpuTime = this.#cpuTime();
    this.#timer = setInterval(() => void this.#check(), this.#intervalMs).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #check(): Promise<void> {
    const cpuTime = this.#cpuTime();
    const share = (cpuTime - this.#lastCpuTime) / 1000 / this.#intervalMs;
    this.#lastCpuTime = cpuTime;
    const minGrowth = this.#checksToSkip > 0 ? URGENT_BYTES : WORTHWHILE_BYTES;
    this.#checksToSkip = Math.max(0, this.#checksToSkip - 1);
    if (share > IDLE_SHARE || this.#memoryBytes() < this.#bytesAfter + minGrowth) return;
    await this.#collect({ type: 'major', flavor: 'last-resort', execution: 'async' });
    trimFreedMemory();
    this.#bytesAfter = this.#memoryBytes();
    // The cost of the collection does not count as work.
    this.#lastCpuTime = this.#cpuTime();
    const costMs = (this.#lastCpuTime - cpuTime) / 1000;
    this.#checksToSkip = Math.floor(costMs / COST_SHARE / this.#intervalMs);
  }
}

function processCpuTime(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** V8's collector. Node.js exposes it only with a flag, which a program may set for itself. */
function garbageCollector(): Collect {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as Collect;
}
