import type { Socket } from 'node:net';
import { Readable } from 'node:stream';

import { PeerError } from '../peer-error.ts';

/** What a {@link DirectBody} needs of the connection that it comes over. */
export interface BodyConnection {
  readonly socket: Socket;
  /** Reads nothing more until {@link resume}. */
  pause(): void;
  /** Goes on reading; what arrives is given to {@link DirectBody.arrived}. */
  resume(): void;
  /** The body is over: the connection may be used for something else, or must not. */
  done(reusable: boolean): void;
}

/** What is left of a body that is no longer read as a stream. */
export interface Remainder {
  readonly socket: Socket;
  /** What has been read already; to be called once, and what it gives not to be kept. */
  readonly takeRead: () => Buffer;
  /** Bytes that are still to come over the connection. */
  readonly left: number;
  readonly stallTimeout: number;
  /** To be told once all of it has come. */
  readonly finished: () => void;
  /** Makes it a stream again. Only where no byte has been taken off the connection. */
  readonly backToStream: () => void;
}

/**
 * The body of a response whose length is known: a stream, or the connection itself with as many bytes on it, for the
 * kernel to move.
 */
export class DirectBody extends Readable {
  readonly #connection: BodyConnection;
  readonly #stallTimeout: number;
  #left: number;
  #timer: NodeJS.Timeout | undefined;
  #over = false;
  #takenOver = false;

  /** @param stallTimeout longest without a byte while more is wanted, in milliseconds */
  constructor(connection: BodyConnection, length: number, stallTimeout: number) {
    // Little, so that little has been read before the kernel takes over.
    super({ highWaterMark: 16 * 1024 });
    this.#connection = connection;
    this.#stallTimeout = stallTimeout;
    this.#left = length;
    // Who reads it hears of it all the same. While the kernel moves it, nobody listens.
    this.on('error', () => undefined);
  }

  /**
   * Takes what has arrived.
   *
   * @returns whether to read on
   */
  arrived(chunk: Buffer): boolean {
    this.#stopTimer();
    if (chunk.length > this.#left) {
      this.destroy(new PeerError('protocol', 'more bytes than declared'));
      return false;
    }
    this.#left -= chunk.length;
    const more = this.push(chunk);
    if (this.#left > 0) return more;
    this.#end(true);
    this.push(null);
    return true;
  }

  /** The connection has ended. */
  broke(error: Error | undefined): void {
    if (!this.#over) this.destroy(error ?? new PeerError('body', 'body ended early'));
  }

  /** Turns the stream into what is left of it; the stream then gives nothing more, and is to be destroyed. */
  takeOver(): Remainder {
    this.#stopTimer();
    this.#takenOver = true;
    // One that has come already is over, and its connection may be another's.
    if (!this.#over) this.#connection.pause();
    return {
      socket: this.#connection.socket,
      takeRead: () => (this.read() as Buffer | null) ?? Buffer.alloc(0),
      left: this.#left,
      stallTimeout: this.#stallTimeout,
      finished: () => {
        this.#left = 0;
        this.#end(true);
      },
      backToStream: () => {
        this.#takenOver = false;
        this._read(); // the stream takes itself to be reading since it was emptied
      },
    };
  }

  /** Reads what is left, if that is little, so that the connection can be kept. */
  async dump({
    limit,
    signal,
  }: {
    readonly limit: number;
    readonly signal: AbortSignal;
  }): Promise<void> {
    if (this.#left > limit) {
      this.destroy();
      return;
    }
    await this.toArray({ signal }); // destroys the stream when it is aborted
  }

  override _read(): void {
    if (this.#takenOver) return;
    if (this.#over || this.#left === 0) {
      if (!this.#over) this.#end(true);
      this.push(null);
      return;
    }
    this.#timer ??= setTimeout(() => {
      this.destroy(new PeerError('timeout', `no byte in ${this.#stallTimeout} ms`));
    }, this.#stallTimeout);
    this.#connection.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stopTimer();
    this.#end(false);
    done(error);
  }

  #end(reusable: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#connection.done(reusable);
  }

  #stopTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
