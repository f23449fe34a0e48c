import type { Digest } from '../oci/digest.ts';

/** Gets the bytes of one body that were forwarded to the client of the store. To be disposed of when the body ends. */
export interface BodyTail extends Disposable {
  /** Whether there are others at this moment who wait for the bytes. */
  readonly isWanted: boolean;
  /**
   * Takes over a copy of bytes.
   *
   * @param offset of the first of them in the content
   * @param bytes may be used again at once
   */
  append(offset: number, bytes: Uint8Array): void;
}

/** Gives bytes to others before the store has written them. */
export interface TailWriter {
  /** Begins with one body of the content. */
  begin(digest: Digest): BodyTail;
}
