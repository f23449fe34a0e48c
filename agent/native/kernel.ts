import type { Socket } from 'node:net';
import { constants } from 'node:os';

import pLimit from 'p-limit';

import { fileOffset, READY, systemError, type Libc } from './libc.ts';
import { Readiness } from './readiness.ts';
import { ReceiverError, SenderError, splice, type MovedPiece } from './splice.ts';

/** Most bytes that one call moves; the disk may be slow, and others wait for the thread. */
const SLICE = 4 * 1024 * 1024;

/** Calls at once that may wait for a disk. The thread pool has more threads: reading files needs it too. */
const CALLS_AT_ONCE = 3;

/** Calls at once that move bytes between connections, which never wait. */
const SPLICES_AT_ONCE = 2;

const { EAGAIN, EINTR, EINVAL, ENOSYS, EOPNOTSUPP } = constants.errno;

/** What a connection says that has ended: nothing is wrong with what was to be sent. */
const CLOSED: ReadonlySet<number> = new Set(
  (
    [
      'EPIPE',
      'ECONNRESET',
      'ECONNABORTED',
      'ENOTCONN',
      'ETIMEDOUT',
      'EHOSTUNREACH',
      'ENETUNREACH',
      'ENETDOWN',
    ] as const
  ).map((name) => constants.errno[name]),
);

/**
 * How a body was moved: all of it; until the receiver had closed its connection or the signal was aborted; or
 * nothing of it, because the kernel cannot for this pair of descriptors.
 */
export type Moved = 'all' | 'closed' | 'aborted' | 'unsupported';

/** An interval of an open file. */
export interface FilePart {
  readonly fd: number;
  /** Of the first byte. */
  readonly position: number;
  /** In bytes. */
  readonly length: number;
}

/** Moves bodies within the kernel: they are never in this process, and the event loop has little to do with them. */
export class Kernel {
  readonly #libc: Libc;
  readonly #readiness: Readiness;
  readonly #slots = pLimit(CALLS_AT_ONCE);
  readonly #spliceSlots = pLimit(SPLICES_AT_ONCE);

  /** @throws Error when there are too many descriptors */
  constructor(libc: Libc) {
    this.#libc = libc;
    this.#readiness = new Readiness(libc);
  }

  /**
   * Sends a part of a file by sendfile(2). What was written to the socket before must have been handed to the
   * system, and nothing else may be written meanwhile. When the promise has settled, neither descriptor is in use.
   *
   * @param onMoved told of the bytes as they are handed to the connection
   * @throws Error when the file cannot be read or ends too early
   */
  async sendFile(
    { fd, position, length }: FilePart,
    socket: Socket,
    onMoved: (bytes: number) => void,
    signal: AbortSignal,
  ): Promise<Moved> {
    const descriptor = socketDescriptor(socket);
    if (descriptor === undefined) return socket.destroyed ? 'closed' : 'unsupported';
    // A descriptor of our own: the socket may be closed at any time, and its number be another's by the next call.
    let to: number;
    try {
      to = this.#libc.duplicate(descriptor);
    } catch {
      return 'unsupported'; // there are too many: a stream needs no more of them
    }
    try {
      const offset = fileOffset(position);
      let left = length;
      while (left > 0) {
        if (signal.aborted) return 'aborted';
        const most = Math.min(left, SLICE);
        // A limit on bandwidth has its place here: wait for `most` bytes, give back those that were not moved.
        const sent = await this.#slots(() => this.#libc.sendfile(to, fd, offset, most));
        if (sent === 0) throw new Error(`The file ends ${left} bytes too early`);
        if (sent > 0) {
          left -= sent;
          onMoved(sent);
        }
        if (sent === -EAGAIN || (sent > 0 && sent < most)) {
          await this.#readiness.wait(to, READY.toWrite, signal);
        } else if (sent < 0 && sent !== -EINTR) {
          if (CLOSED.has(-sent)) return 'closed';
          if (left === length && isUnsupported(-sent)) return 'unsupported';
          throw systemError('sendfile', sent);
        }
      }
      return 'all';
    } finally {
      this.#readiness.forget(to);
      this.#libc.close(to);
    }
  }

  /**
   * Moves a body from one socket to another by splice(2), as {@link sendFile} does from a file. The sender's socket
   * must not be read meanwhile.
   *
   * @param stallTimeout longest that the sender may be silent while the receiver is ready, in milliseconds
   * @throws SenderError, ReceiverError; the signal's reason when that is aborted; `EMFILE` or `ENFILE`, with nothing
   *   moved, when there are too many descriptors
   */
  async *splice(
    { from, to, length }: { readonly from: Socket; readonly to: Socket; readonly length: number },
    stallTimeout: number,
    signal: AbortSignal,
  ): AsyncGenerator<MovedPiece> {
    const [sender, receiver] = [socketDescriptor(from), socketDescriptor(to)];
    if (sender === undefined) throw new SenderError('ended', 'connection is closed');
    if (receiver === undefined) throw new ReceiverError('connection is closed');
    const components = { libc: this.#libc, readiness: this.#readiness, slot: this.#spliceSlots };
    const open: number[] = [];
    try {
      for (const descriptor of [sender, receiver]) open.push(this.#libc.duplicate(descriptor));
      const [ours = -1, theirs = -1] = open;
      const init = { from: ours, to: theirs, length, stallTimeout };
      yield* splice(components, init, signal);
    } finally {
      for (const descriptor of open) {
        this.#readiness.forget(descriptor);
        this.#libc.close(descriptor);
      }
    }
  }
}

/** The descriptor of a plain connection; `undefined` of one with TLS, whose bytes must pass through the process. */
export function socketDescriptor(socket: Socket | undefined): number | undefined {
  if (socket === undefined || 'encrypted' in socket || socket.destroyed) return undefined;
  // Not a public interface, but the only way to it; what is not there is the stream path's.
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: unknown } };
  const fd = handle?.fd;
  return typeof fd === 'number' && Number.isInteger(fd) && fd >= 0 ? fd : undefined;
}

function isUnsupported(errno: number): boolean {
  return errno === EINVAL || errno === ENOSYS || errno === EOPNOTSUPP;
}
