import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';

import { Deadline } from '../timing/deadline.ts';
import { COPIED_SHARE } from './copy.ts';
import { Copying } from './copying.ts';
import { READY, systemError, type Libc } from './libc.ts';
import type { Pipes } from './pipes.ts';
import type { Readiness } from './readiness.ts';
import type { Silence } from '../timing/silence.ts';
import type { OptionalTap, Tap } from './tap.ts';

/** Bytes that one call moves. */
const MAX_CALL_BYTES = 4 * 1024 * 1024;

/** Between two reads from a sender that was ready and delivered nothing, in milliseconds. */
const EMPTY_READ_MS = 20;

/**
 * While parts of a body are copied for others: how long fewer bytes than {@link GATHER_BYTES} wait for more, in
 * milliseconds. A body comes in chunks of a few KiB, and each of them costs as much as many KiB. The receiver collects more
 * than that anyway.
 */
const GATHER_MS = 2;

/** Bytes that came since the last wait for the sender, from which on the next ones are taken as they come. */
const GATHER_BYTES = 64 * 1024;

const { EAGAIN, EINTR } = constants.errno;

/** How often a wait for bytes looks whether the patience with the sender has changed, in milliseconds. */
const LOOK_MS = 200;

/** Bytes that have reached the receiving connection. */
export interface MovedChunk {
  readonly length: number;
  /** How long the sender was waited for while the receiver was ready, in milliseconds. */
  readonly waited: number;
  /** Set for the last bytes when they are not sent yet, see {@link Tap.release}. They are sent when the next chunk is read. */
  readonly isWithheld?: true;
}

/** The sender closed its connection too early, broke it, or is silent. */
export class SenderError extends Error {
  override readonly name = 'SenderError';
  readonly code = 'ERR_SENDER';
  readonly reason: 'ended' | 'silent';

  constructor(reason: SenderError['reason'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** The receiver closed its connection. */
export class ReceiverError extends Error {
  override readonly name = 'ReceiverError';
  readonly code = 'ERR_RECEIVER';
}

/** How {@link splice} calls the system. */
export interface SpliceComponents {
  readonly libc: Libc;
  readonly readiness: Readiness;
  readonly pipes: Pipes;
  /** Runs a call when a thread is free for it. */
  readonly slot: (call: () => Promise<number>) => Promise<number>;
}

/** What to move between two descriptors, which the caller closes. */
export interface SpliceInit {
  readonly from: number;
  readonly to: number;
  /** In bytes. */
  readonly length: number;
  /** How long the sender may be silent while the receiver is ready. */
  readonly silence: Silence;
  /** Gets a copy of the bytes. */
  readonly tap?: Tap | undefined;
  /** Gets a copy of parts of them; not together with `tap`. */
  readonly optionalTap?: OptionalTap | undefined;
}

/**
 * Moves bytes from one connection to another through a pipe, by splice(2). Bytes that were taken from the sender reach the
 * receiver even if the sender then fails. So the sum of the chunks is the offset at which another sender continues.
 *
 * @throws SenderError, ReceiverError; the signal's reason when that is aborted; PipesSpentError and errors of `Pipes`,
 *   with nothing moved
 */
export async function* splice(
  { libc, readiness, pipes, slot }: SpliceComponents,
  { from, to, length, silence, tap, optionalTap }: SpliceInit,
  signal: AbortSignal,
): AsyncGenerator<MovedChunk> {
  using pipe = pipes.open(tap && COPIED_SHARE);
  const { readEnd, writeEnd } = pipe;
  using copying = new Copying({ libc, readiness, pipes }, { tap, optionalTap }, readEnd);
  const give = async (max: number): Promise<number> => {
    const given = await slot(() => libc.splice(readEnd, to, max));
    if (given > 0) return given;
    if (given === -EAGAIN || given === -EINTR) return 0;
    const cause = given === 0 ? undefined : systemError('splice', given);
    throw new ReceiverError('connection broke', { cause });
  };
  let left = length;
  let held = 0;
  let waited = 0;
  let silent = 0;
  let batch = 0;
  let failure: SenderError | undefined;
  while (held > 0 || (left > 0 && failure === undefined)) {
    signal.throwIfAborted();
    const mayTake = copying.update(held);
    const { copy } = copying;
    if (mayTake && left > 0 && failure === undefined) {
      const max = Math.min(left, MAX_CALL_BYTES);
      // A limit on bandwidth belongs here: wait for `max` bytes, and return those that were not taken.
      // A full pipe takes some tens of microseconds, which is less than another thread would cost.
      const taken = libc.spliceNow(from, writeEnd, max);
      if (taken > 0) {
        left -= taken;
        held += taken;
        batch += taken;
        silence.ended(silent);
        silent = 0;
      } else if (taken === 0) {
        failure = new SenderError('ended', `connection ended ${left} bytes too early`);
      } else if (taken === -EAGAIN && held === 0) {
        // splice(2) stops before a byte that the sender marked as urgent, but epoll(7) reports the bytes behind it. Each
        // wait would end at once, and the sender would never count as silent.
        const time =
          silent === 0
            ? await waitForBytes(readiness, from, silence, signal)
            : await delay(EMPTY_READ_MS, EMPTY_READ_MS);
        waited += time;
        silent += time;
        if (silent >= silence.patience) failure = new SenderError('silent', 'no byte in time');
        else if (copying.isOptional && batch < GATHER_BYTES) waited += await gather();
        batch = 0;
        continue;
      } else if (taken !== -EAGAIN && taken !== -EINTR) {
        const cause = systemError('splice', taken);
        failure = new SenderError('ended', 'connection broke', { cause });
      }
    }
    if (held === 0) continue;
    if (copy?.take(readEnd, held) === false) {
      await copy.room(signal);
      continue;
    }
    const max = copy?.sendable(held, left === 0) ?? held;
    if (max === 0) {
      copy?.passed(held);
      yield { length: held, waited, isWithheld: true };
      await copy?.release();
      while (held > 0 && !signal.aborted) {
        held -= await give(held);
        if (held > 0) await readiness.wait(to, READY.toWrite, signal);
      }
      break;
    }
    const given = await give(max);
    if (given > 0) {
      held -= given;
      copy?.passed(given);
      yield { length: given, waited };
      waited = 0;
    }
    if (given < max) await readiness.wait(to, READY.toWrite, signal);
  }
  signal.throwIfAborted();
  if (failure !== undefined) throw failure;
}

/** Lets more bytes come. Returns how long that took, in milliseconds: the receiver has got all others. */
async function gather(): Promise<number> {
  const start = performance.now();
  await delay(GATHER_MS);
  return performance.now() - start;
}

/** Waits for bytes. Returns how long that took, in milliseconds; at least the sender's patience at that time when none came. */
async function waitForBytes(
  readiness: Readiness,
  fd: number,
  silence: Silence,
  signal: AbortSignal,
): Promise<number> {
  let waited = 0;
  for (;;) {
    // The patience may change meanwhile.
    const look = Math.min(LOOK_MS, Math.max(1, silence.patience - waited));
    const time = await waitFor(readiness, fd, look, signal);
    waited += time;
    if (time < look || waited >= silence.patience || signal.aborted) return waited;
  }
}

/** Waits for bytes. Returns how long that took, in milliseconds; at least `timeout` when none came. */
async function waitFor(
  readiness: Readiness,
  fd: number,
  timeout: number,
  signal: AbortSignal,
): Promise<number> {
  using deadline = new Deadline(timeout, signal);
  const start = performance.now();
  await readiness.wait(fd, READY.toRead, deadline.signal);
  const elapsed = performance.now() - start;
  const isSilent = deadline.signal.aborted && !signal.aborted;
  return isSilent ? Math.max(elapsed, timeout) : Math.min(elapsed, timeout - 1);
}
