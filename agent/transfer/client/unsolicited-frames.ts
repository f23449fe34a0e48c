import type { TLSSocket } from 'node:tls';

/** How often connections are looked at, in milliseconds. */
const LOOK_MS = 1_000;

/** What a peer may send between two looks without having been asked: pings, windows, the end of what we gave up. */
const MAX_UNASKED_BYTES = 64 * 1024;

/** Options of {@link UnsolicitedFrames}. */
export interface UnaskedBytesInit {
  /** Whether no request to the origin is in progress or waits. */
  readonly isIdle: (origin: string) => boolean;
}

interface Watched {
  readonly origin: string;
  bytes: number;
  wasIdle: boolean;
}

/**
 * Ends HTTP/2 connections whose peer goes on sending although nothing is asked of it: settings without end, or a body
 * that was given up. nghttp2 takes all of that and keeps nothing, so it costs no memory, but all the time there is.
 */
export class UnsolicitedFrames {
  readonly #isIdle: UnaskedBytesInit['isIdle'];
  readonly #watched = new Map<TLSSocket, Watched>();
  /** Origins that were asked since the last look. */
  readonly #asked = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor({ isIdle }: UnaskedBytesInit) {
    this.#isIdle = isIdle;
  }

  /** Notes that the origin is going to be asked. */
  ask(origin: string): void {
    if (this.#watched.size > 0) this.#asked.add(origin);
  }

  /** Looks at the connection until it is closed. */
  watch(origin: string, socket: TLSSocket): void {
    this.#watched.set(socket, { origin, bytes: socket.bytesRead, wasIdle: false });
    this.#timer ??= setInterval(() => {
      this.#look();
    }, LOOK_MS).unref();
    socket.once('close', () => {
      this.#watched.delete(socket);
      if (this.#watched.size > 0) return;
      clearInterval(this.#timer);
      this.#timer = undefined;
      this.#asked.clear();
    });
  }

  #look(): void {
    for (const [socket, watched] of this.#watched) {
      const { origin, bytes, wasIdle } = watched;
      const { bytesRead } = socket;
      const unasked = wasIdle && !this.#asked.has(origin) ? bytesRead - bytes : 0;
      if (unasked > MAX_UNASKED_BYTES) socket.destroy();
      watched.bytes = bytesRead;
      watched.wasIdle = this.#isIdle(origin);
    }
    this.#asked.clear();
  }
}
