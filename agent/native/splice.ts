import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

import { READY, systemError, type Libc } from './libc.ts';
import type { Readiness } from './readiness.ts';

/** Bytes that the pipe between the two connections is to hold: as much as anybody may ask for. */
const PIPE_BYTES = 1024 * 1024;

/** Most bytes that one call moves. */
const SLICE = 4 * 1024 * 1024;

/** Between two looks at a sender that was ready and gave nothing, in milliseconds. */
const IN_VAIN_MS = 20;

/** Why a wait was given up. */
const SILENT = Symbol('silent');

const { EAGAIN, EINTR } = constants.errno;

/** Bytes that have reached the receiving connection. */
export interface MovedPiece {
  readonly length: number;
  /** For how long the sender was waited for, with the receiver ready to take more; in milliseconds. */
  readonly waited: number;
}

/** The sender has closed its connection too early, has broken it, or is silent. */
export class SenderError extends Error {
  override readonly name = 'SenderError';
  readonly code = 'ERR_SENDER';
  readonly reason: 'ended' | 'silent';

  constructor(reason: SenderError['reason'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** The receiver has closed its connection. */
export class ReceiverError extends Error {
  override readonly name = 'ReceiverError';
  readonly code = 'ERR_RECEIVER';
}

/** What {@link splice} works with. */
export interface SpliceComponents {
  readonly libc: Libc;
  readonly readiness: Readiness;
  /** Runs a call on one of the threads that there are for this. */
  readonly slot: (call: () => Promise<number>) => Promise<number>;
}

/** Two descriptors that belong to the caller, and what to move between them. */
export interface SpliceInit {
  readonly from: number;
  readonly to: number;
  /** In bytes. */
  readonly length: number;
  /** Longest that the sender may be silent while the receiver is ready, in milliseconds. */
  readonly stallTimeout: number;
}

/**
 * Moves bytes from one connection to another through a pipe, by splice(2). What was taken from the sender reaches the
 * receiver also when the sender then fails, so the sum of the pieces is where another sender has to go on.
 *
 * @throws SenderError, ReceiverError; the signal's reason when that is aborted
 */
export async function* splice(
  { libc, readiness, slot }: SpliceComponents,
  { from, to, length, stallTimeout }: SpliceInit,
  signal: AbortSignal,
): AsyncGenerator<MovedPiece> {
  const { readEnd, writeEnd } = libc.pipe(PIPE_BYTES);
  let left = length;
  let held = 0;
  let waited = 0;
  let silent = 0;
  let failure: SenderError | undefined;
  try {
    while (held > 0 || (left > 0 && failure === undefined)) {
      signal.throwIfAborted();
      if (left > 0 && failure === undefined) {
        const most = Math.min(left, SLICE);
        // A limit on bandwidth has its place here: wait for `most` bytes, give back those that were not taken.
        // Some tens of microseconds for a full pipe, which is less than another thread would cost.
        const taken = libc.spliceNow(from, writeEnd, most);
        if (taken > 0) {
          left -= taken;
          held += taken;
          silent = 0;
        } else if (taken === 0) {
          failure = new SenderError('ended', `connection ended ${left} bytes too early`);
        } else if (taken === -EAGAIN && held === 0) {
          // splice(2) stops before a byte that the sender has marked as urgent, while epoll(7) tells of those behind
          // it: the wait would be over at once, again and again, and the sender never silent.
          const silence =
            silent === 0
              ? await waitFor(readiness, from, stallTimeout, signal)
              : await delay(IN_VAIN_MS, IN_VAIN_MS);
          waited += silence;
          silent += silence;
          if (silent >= stallTimeout) failure = new SenderError('silent', 'no byte in time');
          continue;
        } else if (taken !== -EAGAIN && taken !== -EINTR) {
          const cause = systemError('splice', taken);
          failure = new SenderError('ended', 'connection broke', { cause });
        }
      }
      if (held === 0) continue;
      const given = await slot(() => libc.splice(readEnd, to, held));
      if (given > 0) {
        held -= given;
        yield { length: given, waited };
        waited = 0;
      } else if (given !== -EAGAIN && given !== -EINTR) {
        const cause = given === 0 ? undefined : systemError('splice', given);
        throw new ReceiverError('connection broke', { cause });
      }
      if (held > 0) await readiness.wait(to, READY.toWrite, signal);
    }
    signal.throwIfAborted();
    if (failure !== undefined) throw failure;
  } finally {
    libc.close(readEnd);
    libc.close(writeEnd);
  }
}

/** Waits for bytes; gives the milliseconds that it took, at least `timeout` when none came. */
async function waitFor(
  readiness: Readiness,
  fd: number,
  timeout: number,
  signal: AbortSignal,
): Promise<number> {
  const start = performance.now();
  const late = new AbortController();
  const stop = (): void => {
    late.abort();
  };
  const timer = setTimeout(() => {
    late.abort(SILENT);
  }, timeout);
  signal.addEventListener('abort', stop, { once: true });
  await readiness.wait(fd, READY.toRead, late.signal);
  clearTimeout(timer);
  signal.removeEventListener('abort', stop);
  const elapsed = performance.now() - start;
  return late.signal.reason === SILENT
    ? Math.max(elapsed, timeout)
    : Math.min(elapsed, timeout - 1);
}
