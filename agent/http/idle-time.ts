import type { ServerResponse } from 'node:http';
import type { Http2Stream } from 'node:http2';

import { http2Stream } from './http2-response.ts';

/** Between two looks at a body, in milliseconds. Less than any listener lets a connection be idle. */
const PERIOD_MS = 60_000;

/**
 * Keeps a connection open on which no bytes move because the source of a body is slow: it is not the client's fault then,
 * and does not count as idle. To be disposed of at the end of the answer.
 */
export class IdleTime implements Disposable {
  readonly #timer: NodeJS.Timeout;

  /**
   * @param isWaiting whether the body waits for its source now
   * @param period milliseconds; {@link PERIOD_MS} by default
   */
  constructor(res: ServerResponse, isWaiting: () => boolean, period = PERIOD_MS) {
    this.#timer = setInterval(() => {
      if (isWaiting()) restart(res);
    }, period).unref();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** Begins the time anew after which an idle connection, or a stream of HTTP/2, is ended. */
function restart(res: ServerResponse): void {
  const stream = http2Stream(res) as (Http2Stream & { readonly timeout?: number }) | undefined;
  if (stream === undefined) res.req.socket.setTimeout(res.req.socket.timeout ?? 0);
  else if (!stream.destroyed) stream.setTimeout(stream.timeout ?? 0);
}
