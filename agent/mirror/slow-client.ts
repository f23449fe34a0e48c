import type { ServerResponse } from 'node:http';

import type { Growth } from '../content/content-source.ts';
import { cutOff, waitsForClient } from '../http/http2-response.ts';

/** How long a client may take less than {@link MIN_BYTES} of a body, in milliseconds. */
const PERIOD_MS = 60_000;

/**
 * Bytes that a client takes of a body in that time at least. Slower than any peer may be, since the system reports bytes
 * as taken in steps of up to a megabyte.
 */
const MIN_BYTES = 256 * 1024;

/** Options of {@link SlowClient}. */
export interface SlowClientInit {
  /** Whether the kernel moves the body, so that the response does not know what waits for the client. */
  readonly isMoved: boolean;
  /** A body that is still arriving. Its client is not slow while it waits for bytes. */
  readonly growth?: Pick<Growth, 'isWaiting' | 'waits'>;
  /** Milliseconds. Default 60,000. */
  readonly period?: number;
}

/** Ends the answer of a client that does not read its body, so that it gives up its slot. To be disposed of at the end. */
export class SlowClient implements Disposable {
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;

  constructor(res: ServerResponse, { isMoved, growth, period = PERIOD_MS }: SlowClientInit) {
    let waits = growth?.waits;
    this.#timer = setInterval(() => {
      // A client that takes no more bytes keeps the body from waiting for others.
      const hasWaited = growth?.isWaiting === true || growth?.waits !== waits;
      const isSlow = this.#bytes < MIN_BYTES && !hasWaited && (isMoved || waitsForClient(res));
      this.#bytes = 0;
      waits = growth?.waits;
      // A body may also wait for its source, or for the limit on the rate.
      if (isSlow) cutOff(res);
    }, period).unref();
  }

  /** Counts bytes that were handed to the connection. */
  sent(bytes: number): void {
    this.#bytes += bytes;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
