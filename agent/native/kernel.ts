import type { Socket } from 'node:net';
import { constants } from 'node:os';

import pLimit from 'p-limit';

import { fileOffset, READY, systemError, type Libc } from './libc.ts';
import { Pipes } from './pipes.ts';
import { Readiness } from './readiness.ts';
import { ReceiverError, SenderError, splice, type MovedChunk, type SpliceInit } from './splice.ts';

/** Bytes that one call moves: the disk may be slow, and other calls wait for the thread. */
const MAX_CALL_BYTES = 4 * 1024 * 1024;

/** Concurrent calls that may wait for a disk. The thread pool has more threads: reading files needs some too. */
const MAX_SENDFILES = 3;

/** Concurrent calls that move bytes between connections; these never wait. */
const MAX_SPLICES = 2;

const { EAGAIN, EINTR, EINVAL, ENOSYS, EOPNOTSUPP } = constants.errno;

/** Errors of a connection that has ended: the file is not at fault. */
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
 * How much of a body was moved. `all`: the whole. `closed`: until the receiver closed its connection. `aborted`: until the
 * signal was aborted. `unsupported`: nothing, because the kernel cannot do it for these two descriptors.
 */
export type Moved = 'all' | 'closed' | 'aborted' | 'unsupported';

/** A range of an open file. */
export interface FilePart {
  readonly fd: number;
  /** Offset of the first byte. */
  readonly position: number;
  /** In bytes. */
  readonly length: number;
}

/** A body, and the connections between which it is moved. */
export interface SocketParts extends Pick<
  SpliceInit,
  'length' | 'tap' | 'optionalTap' | 'silence'
> {
  readonly from: Socket;
  readonly to: Socket;
}

/** Moves bodies within the kernel. Their bytes never enter this process, so that they cost the event loop little. */
export class Kernel {
  readonly #libc: Libc;
  readonly #readiness: Readiness;
  readonly #pipes: Pipes;
  readonly #sendfileSlots = pLimit(MAX_SENDFILES);
  readonly #spliceSlots = pLimit(MAX_SPLICES);

  /** @throws Error when there are too many descriptors */
  constructor(libc: Libc) {
    this.#libc = libc;
    this.#readiness = new Readiness(libc);
    this.#pipes = new Pipes({ libc });
  }

  /**
   * Sends a part of a file by sendfile(2). Everything that was written to the socket before must have reached the
   * system, and nothing else may be written meanwhile. When the promise settles, neither descriptor is in use any more.
   *
   * @param onMoved called with the number of bytes of each call
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
    // A duplicate: the socket may be closed at any time, and the next call might find another file at its number.
    let to: number;
    try {
      to = this.#libc.duplicate(descriptor);
    } catch {
      return 'unsupported'; // There are too many descriptors. A stream needs no more of them.
    }
    try {
      const offset = fileOffset(position);
      let left = length;
      while (left > 0) {
        if (signal.aborted) return 'aborted';
        const max = Math.min(left, MAX_CALL_BYTES);
        // A limit on bandwidth belongs here: wait for `max` bytes, and return those that were not moved.
        const sent = await this.#sendfileSlots(() => this.#libc.sendfile(to, fd, offset, max));
        if (sent === 0) throw new Error(`The file ends ${left} bytes too early`);
        if (sent > 0) {
          left -= sent;
          onMoved(sent);
        }
        if (sent === -EAGAIN || (sent > 0 && sent < max)) {
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
   * Bytes that the system has taken for a connection and that its other end has not acknowledged. `undefined` with TLS,
   * and when the connection is closed.
   */
  unsent(socket: Socket): number | undefined {
    const descriptor = socketDescriptor(socket);
    if (descriptor === undefined) return undefined;
    try {
      return this.#libc.unsent(descriptor);
    } catch {
      return undefined; // A Unix socket.
    }
  }

  /**
   * Moves a body from one socket to another by splice(2), as {@link sendFile} does from a file. The sender's socket
   * must not be read meanwhile.
   *
   * @throws SenderError, ReceiverError; the signal's reason when that is aborted; PipesSpentError, and `EMFILE` or
   *   `ENFILE` when there are too many descriptors, with nothing moved
   */
  async *splice(
    { from, to, ...parts }: SocketParts,
    signal: AbortSignal,
  ): AsyncGenerator<MovedChunk> {
    const [sender, receiver] = [socketDescriptor(from), socketDescriptor(to)];
    if (sender === undefined) throw new SenderError('ended', 'connection is closed');
    if (receiver === undefined) throw new ReceiverError('connection is closed');
    const components = {
      libc: this.#libc,
      readiness: this.#readiness,
      pipes: this.#pipes,
      slot: this.#spliceSlots,
    };
    const open: number[] = [];
    try {
      for (const descriptor of [sender, receiver]) open.push(this.#libc.duplicate(descriptor));
      const [ours = -1, theirs = -1] = open;
      const init = { ...parts, from: ours, to: theirs };
      yield* splice(components, init, signal);
    } finally {
      for (const descriptor of open) {
        this.#readiness.forget(descriptor);
        this.#libc.close(descriptor);
      }
    }
  }
}

/** The descriptor of a connection; `undefined` with TLS, since those bytes must pass through the process. */
export function socketDescriptor(socket: Socket | undefined): number | undefined {
  if (socket === undefined || 'encrypted' in socket || socket.destroyed) return undefined;
  // Not a public interface, but the only way to the descriptor. Where it is missing, the body goes as a stream.
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: unknown } };
  const fd = handle?.fd;
  return typeof fd === 'number' && Number.isInteger(fd) && fd >= 0 ? fd : undefined;
}

function isUnsupported(errno: number): boolean {
  return errno === EINVAL || errno === ENOSYS || errno === EOPNOTSUPP;
}
