import { constants } from 'node:os';

import { READY, systemError, type Libc } from './libc.ts';
import { PipesSpentError, type Pipes } from './pipes.ts';
import type { Readiness } from './readiness.ts';
import type { Tap } from './tap.ts';

/** Bytes at the end of a body that are withheld until the tap releases them; fewer where the sender sent fewer. */
const MAX_WITHHELD_BYTES = 64 * 1024;

/** Part of the budget of pipes for bodies that are copied: each takes two, and the others must not wait for them. */
export const COPIED_SHARE = 3 / 4;

const { EAGAIN, EINTR } = constants.errno;

/** What a {@link Copy} needs. */
export interface CopyComponents {
  readonly libc: Libc;
  readonly readiness: Readiness;
  readonly pipes: Pipes;
  readonly tap: Tap;
}

/**
 * Copies what is in a pipe into the pipe of a {@link Tap}, by tee(2). The bytes are copied before the receiver gets them,
 * and the tap learns how many of them it has got.
 */
export class Copy implements Disposable {
  readonly #libc: Libc;
  readonly #readiness: Readiness;
  readonly #tap: Tap;
  readonly #writeEnd: number;
  /** Bytes that were copied and have not passed. */
  #ahead = 0;

  /**
   * @param readEnd of a pipe that is empty
   * @throws PipesSpentError, also where the system does not allow tee(2); Error when there are too many descriptors
   */
  constructor({ libc, readiness, pipes, tap }: CopyComponents, readEnd: number) {
    this.#libc = libc;
    this.#readiness = readiness;
    this.#tap = tap;
    const pipe = pipes.open(COPIED_SHARE);
    this.#writeEnd = pipe.writeEnd;
    // Later it would be too late for a stream: a filter of system calls may leave out just this one.
    const probed = libc.teeNow(readEnd, pipe.writeEnd, 1);
    if (probed !== -EAGAIN) {
      pipe[Symbol.dispose]();
      throw new PipesSpentError('bytes cannot be copied', { cause: systemError('tee', probed) });
    }
    tap.begin(pipe);
  }

  /**
   * Copies bytes, unless there are some that have not passed: tee(2) begins with the first byte in the pipe.
   *
   * @param held bytes in the pipe
   * @returns whether the receiver may get bytes; `false` when the tap's pipe is full, see {@link room}
   */
  take(readEnd: number, held: number): boolean {
    if (this.#ahead > 0) return true;
    const copied = this.#libc.teeNow(readEnd, this.#writeEnd, held);
    if (copied > 0) this.#ahead = copied;
    else if (copied !== -EAGAIN && copied !== -EINTR) throw systemError('tee', copied);
    return copied > 0;
  }

  /** Resolves when there is room in the tap's pipe, or when `signal` is aborted. */
  async room(signal: AbortSignal): Promise<void> {
    await this.#readiness.wait(this.#writeEnd, READY.toWrite, signal);
  }

  /**
   * How many of the bytes in the pipe the receiver may get now.
   *
   * @param isEnd whether they are the last ones of the body
   * @returns 0 when they are withheld until the tap releases them
   */
  sendable(held: number, isEnd: boolean): number {
    if (!isEnd || this.#tap.release === undefined || this.#ahead < held) return this.#ahead;
    return held - Math.min(held, MAX_WITHHELD_BYTES);
  }

  passed(bytes: number): void {
    this.#ahead -= bytes;
    this.#tap.passed(bytes);
  }

  /** @throws what the tap rejects the body with */
  async release(): Promise<void> {
    await this.#tap.release?.();
  }

  [Symbol.dispose](): void {
    this.#readiness.forget(this.#writeEnd);
    this.#tap.end();
  }
}
