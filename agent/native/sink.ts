import type { Socket } from 'node:net';

import type { OptionalTap, Tap } from './tap.ts';

/** A connection that receives a body, and has received the head of the response. */
export interface Sink {
  /** Only the body may be written to it. */
  readonly socket: Socket;
  /** Writes bytes of the body. Resolves when the system has taken them, or the receiver has closed the connection. */
  write(bytes: Uint8Array): Promise<void>;
  /** Counts bytes of the body that the kernel wrote to the connection without {@link write}. */
  moved(bytes: number): void;
  /**
   * Gets a copy of the bytes that the kernel is about to move. Absent: no copy is needed.
   *
   * @param length number of these bytes
   */
  tap?(length: number): Tap;
  /** Gets a copy of the bytes that the kernel moves while it wants one. Not together with {@link tap}. */
  readonly optionalTap?: OptionalTap;
}
