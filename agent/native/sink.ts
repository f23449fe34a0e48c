import type { Socket } from 'node:net';

/** A connection that a body goes to, whose head has been written. */
export interface Sink {
  /** Not to be written to by others while the body goes to it. */
  readonly socket: Socket;
  /** Writes bytes of the body; resolves when the system has taken them, or the receiver has left. */
  write(bytes: Uint8Array): Promise<void>;
  /** Is told of bytes of the body that went to the connection past it. */
  moved(bytes: number): void;
}
