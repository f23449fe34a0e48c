import type { Socket } from 'node:net';
import { Readable } from 'node:stream';

import { SilenceTimer } from '../../../timing/silence-timer.ts';
import { Silence, type SilenceInit } from '../../../timing/silence.ts';
import { PeerError } from '../peer-error.ts';

/** The connection of a {@link DirectBody}. */
export interface BodyConnection {
  readonly socket: Socket;
  /** Whether its bytes are those of the body: not where they are encrypted. */
  readonly isMovable: boolean;
  /** Stops reading until {@link resume}. */
  pause(): void;
  /** Continues reading; {@link DirectBody.arrived} gets the bytes. */
  resume(): void;
  /** The bytes are not used any more: their memory may be read into again. */
  release(chunk: Uint8Array): void;
  /** Called once at the end of the body, with whether the connection may be used for another request. */
  done(isReusable: boolean): void;
}

/** The rest of a body that is no longer read as a stream. */
export interface Remainder {
  readonly socket: Socket;
  /** Takes the bytes that have been read already. To be called once, and the bytes are not to be kept. */
  readonly takeRead: () => Buffer;
  /** Bytes that are still to come over the connection. */
  readonly left: number;
  /** How long the peer may be silent. */
  readonly silence: Silence;
  /** To be called when all bytes have arrived. */
  readonly finished: () => void;
  /** Makes it a stream again. Only where no byte has been taken off the connection. */
  readonly backToStream: () => void;
}

/**
 * The body of a response; one whose length is not known ends with the connection. It is read as a stream, or taken over: the kernel then moves the
 * remaining bytes from the connection.
 */
export class DirectBody extends Readable {
  readonly #connection: BodyConnection;
  /** Whether the kernel can move it. */
  readonly isMovable: boolean;
  /** How long the peer may be silent. */
  readonly silence: Silence;
  readonly #timer: SilenceTimer;
  #left: number;
  #over = false;
  #takenOver = false;

  /** @param length in bytes; `Infinity` where it is not known */
  constructor(connection: BodyConnection, length: number, silence: SilenceInit) {
    // A small buffer, so that the kernel can move most of the body.
    super({ highWaterMark: 16 * 1024 });
    this.#connection = connection;
    this.isMovable = connection.isMovable;
    this.silence = new Silence(silence);
    this.#timer = new SilenceTimer(this.silence, (patience) => {
      this.destroy(new PeerError('timeout', `no byte in ${patience} ms`));
    });
    this.#left = length;
    // A reader gets the error anyway. While the kernel moves the body there is no reader, and the error must not throw.
    this.on('error', () => undefined);
  }

  /** Bytes that are still to come over the connection. */
  get left(): number {
    return this.#left;
  }

  /**
   * Takes bytes from the connection.
   *
   * @returns whether to continue reading
   */
  arrived(chunk: Buffer): boolean {
    this.#timer.arrived();
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

  /** Fails the body if its connection ended too early, and ends one of unknown length. */
  broke(error: Error | undefined): void {
    if (this.#over) return;
    const isWhole = this.#left === Infinity && error === undefined;
    if (!isWhole) {
      this.destroy(error ?? new PeerError('body', 'body ended early'));
      return;
    }
    this.#timer.stop();
    this.#end(false);
    this.push(null);
  }

  /** The reader has no more use for a chunk: its memory may be written again. Without it, each chunk has memory of its own. */
  release(chunk: Uint8Array): void {
    if (!this.#over) this.#connection.release(chunk);
  }

  /** Ends reading as a stream, and returns the rest. The caller destroys the stream afterwards. */
  takeOver(): Remainder {
    this.#timer.stop();
    this.#takenOver = true;
    // A complete body has given up its connection, which may serve another request by now.
    if (!this.#over) this.#connection.pause();
    return {
      socket: this.#connection.socket,
      takeRead: () => (this.read() as Buffer | null) ?? Buffer.alloc(0),
      left: this.#left,
      silence: this.silence,
      finished: () => {
        this.#left = 0;
        this.#end(true);
      },
      backToStream: () => {
        this.#takenOver = false;
        this._read(); // Readable considers itself reading since its buffer was emptied
      },
    };
  }

  /** Reads the rest if it is at most `limit` bytes, so that the connection can be used again. */
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
    await this.toArray({ signal }); // destroys the stream when the signal is aborted
  }

  override _read(): void {
    if (this.#takenOver) return;
    if (this.#over || this.#left === 0) {
      if (!this.#over) this.#end(true);
      this.push(null);
      return;
    }
    this.#timer.start();
    this.#connection.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#timer.stop();
    // All of it may have come although it was never read: an answer without a body that nothing looks at.
    this.#end(error === null && this.#left === 0);
    done(error);
  }

  #end(isReusable: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#connection.done(isReusable);
  }
}
