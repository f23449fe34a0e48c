import type { Pipe } from './pipes.ts';

/** Reads a copy of the bytes that `splice` moves, from a pipe of its own, without delaying them. */
export interface Tap {
  /** Takes over the pipe into which the bytes are copied. It is disposed of after {@link end}, when it has been read. */
  begin(pipe: Pipe): void;
  /** The receiver gets these next bytes of the pipe. Only they may be read: others are sent again by another sender. */
  passed(bytes: number): void;
  /** The last byte has passed. The writing end of the pipe is not in use any more. */
  end(): void;
  /**
   * Decides about the last bytes, which are withheld until it resolves. They are not sent when it rejects. Absent: all
   * bytes are sent as they come.
   */
  readonly release?: () => Promise<void>;
}

/** Copies a body for parts of its way only, which begin and end while it is moved. */
export interface OptionalTap {
  /** Whether a copy is needed from now on. Asked before each call that moves bytes. */
  readonly isWanted: boolean;
  /** Makes the tap of one part. It gets no bytes when a second pipe cannot be had. */
  open(): Tap;
}
