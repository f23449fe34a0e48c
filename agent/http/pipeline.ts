import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

import { MAX_PIPELINED } from './request-head.ts';

/** The requests of one connection that are not answered yet. */
interface Queue {
  waiting: number;
  /** Resolves when the last of them is answered. */
  last: Promise<void>;
}

/** Keeps the requests that clients pipeline in their order: each waits until those before it are answered. */
export class Pipeline {
  readonly #queues = new WeakMap<Duplex, Queue>();

  /**
   * Resolves when it is the request's turn. A connection over which too many requests wait is closed.
   *
   * @returns whether the request is to be answered: not when an earlier answer closed the connection
   */
  async turn({ socket }: IncomingMessage, res: ServerResponse): Promise<boolean> {
    const queue = this.#queues.get(socket) ?? { waiting: 0, last: Promise.resolve() };
    this.#queues.set(socket, queue);
    if (queue.waiting > MAX_PIPELINED) {
      socket.destroy();
      return false;
    }
    queue.waiting += 1;
    const before = queue.last;
    const closed = new Promise<void>((resolve) => {
      res.once('close', resolve);
    });
    queue.last = closed;
    void closed.then(() => {
      queue.waiting -= 1;
    });
    await before;
    return socket.writable;
  }

  /** Whether more than one request of a connection is not answered yet. */
  hasSeveral(socket: Duplex): boolean {
    return (this.#queues.get(socket)?.waiting ?? 0) > 1;
  }

  /** Resolves when the requests of a connection are answered; `undefined` when there are none. */
  lastAnswer(socket: Duplex): Promise<void> | undefined {
    const queue = this.#queues.get(socket);
    return queue !== undefined && queue.waiting > 0 ? queue.last : undefined;
  }
}
