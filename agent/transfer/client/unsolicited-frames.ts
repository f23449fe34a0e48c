import type { Socket } from 'node:net';

/** Interval between two checks of the connections, in milliseconds. */
const CHECK_MS = 1_000;

/** Bytes that a peer may send between two checks without a request: pings, windows, the end of a cancelled body. */
const MAX_UNSOLICITED_BYTES = 64 * 1024;

/** Options of {@link UnsolicitedFrames}. */
export interface UnsolicitedFramesInit {
  /** Whether no request to the origin is in progress or queued. */
  readonly isIdle: (origin: string) => boolean;
}

interface Watched {
  readonly origin: string;
  bytes: number;
  wasIdle: boolean;
}

/**
 * Closes HTTP/2 connections whose peer keeps sending without a request: settings without end, or a body that was
 * cancelled. nghttp2 reads such frames and drops them, which costs no memory, but may take all CPU time.
 */
export class UnsolicitedFrames {
  readonly #isIdle: UnsolicitedFramesInit['isIdle'];
  readonly #watched = new Map<Socket, Watched>();
  /** Origins with a request since the last check. */
  readonly #requested = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ isIdle }: UnsolicitedFramesInit) {
    this.#isIdle = isIdle;
  }

  /** Records that a request to the origin is about to be sent. */
  requesting(origin: string): void {
    if (this.#watched.size > 0) this.#requested.add(origin);
  }

  /** Checks the connection until it is closed. */
  watch(origin: string, socket: Socket): void {
    this.#watched.set(socket, { origin, bytes: socket.bytesRead, wasIdle: false });
    this.#timer ??= setInterval(() => {
      this.#check();
    }, CHECK_MS).unref();
    socket.once('close', () => {
      this.#watched.delete(socket);
      if (this.#watched.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#requested.clear();
    });
  }

  #check(): void {
    for (const [socket, watched] of this.#watched) {
      const { origin, bytes, wasIdle } = watched;
      const { bytesRead } = socket;
      const unsolicited = wasIdle && !this.#requested.has(origin) ? bytesRead - bytes : 0;
      if (unsolicited > MAX_UNSOLICITED_BYTES) socket.destroy();
      watched.bytes = bytesRead;
      watched.wasIdle = this.#isIdle(origin);
    }
    this.#requested.clear();
  }
}
