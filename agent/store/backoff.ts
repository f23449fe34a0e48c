import { setTimeout as delay } from 'node:timers/promises';

export interface BackoffInit {
  /** First wait in milliseconds; 100 by default. */
  readonly minimum?: number;
  /** Longest wait in milliseconds; 5,000 by default. */
  readonly maximum?: number;
}

/** Waits that double up to a maximum, each cut by up to a half at random so that nodes do not retry in step. */
export class Backoff {
  readonly #minimum: number;
  readonly #maximum: number;
  #next: number;

  constructor(init: BackoffInit = {}) {
    this.#minimum = init.minimum ?? 100;
    this.#maximum = init.maximum ?? 5_000;
    this.#next = this.#minimum;
  }

  /** Begins again with the shortest wait. */
  reset(): void {
    this.#next = this.#minimum;
  }

  /** Resolves after the next wait, or at once when `signal` is aborted; never rejects. */
  async wait(signal: AbortSignal): Promise<void> {
    const longest = this.#next;
    this.#next = Math.min(this.#maximum, this.#next * 2);
    await pause(longest * (0.5 + Math.random() / 2), signal);
  }
}

/** Resolves after `milliseconds`, or at once when `signal` is aborted; never rejects. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(milliseconds, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** The interval of a periodic task, moved by up to a tenth either way so that nodes do not act in step. */
export function jittered(milliseconds: number): number {
  return milliseconds * (0.9 + Math.random() * 0.2);
}

/** `signal.aborted`, as a call: the compiler takes a property that it has seen for unchanged ever after. */
export function isAborted(signal: AbortSignal): boolean {
  return signal.aborted;
}
