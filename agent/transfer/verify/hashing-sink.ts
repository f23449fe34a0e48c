import type { Sink } from '../../native/sink.ts';
import type { Tap } from '../../native/tap.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ThreadedHash } from './threaded-hash.ts';

/** Parts of a {@link HashingSink}. */
export interface HashingSinkComponents {
  readonly sink: Sink;
  readonly hash: ThreadedHash;
}

/**
 * Forwards a whole body to a client that does not verify it, and has it hashed beside. The last bytes are sent only when
 * the digest matches: by the kernel, see {@link Tap.release}, or from memory by {@link finish}.
 */
export class HashingSink implements Sink {
  readonly #sink: Sink;
  readonly #hash: ThreadedHash;
  readonly #size: number;
  #hashed: Promise<unknown> = Promise.resolve();
  #withheld: Uint8Array | undefined;

  constructor({ sink, hash }: HashingSinkComponents, { size }: Descriptor) {
    this.#sink = sink;
    this.#hash = hash;
    this.#size = size;
  }

  get socket(): Sink['socket'] {
    return this.#sink.socket;
  }

  tap(length: number): Tap {
    return this.#hash.tap(length);
  }

  async write(bytes: Uint8Array): Promise<void> {
    await this.#hashed; // One write may wait for the thread, not more of them.
    this.#hashed = this.#hash.update(bytes);
    if (this.#hash.position < this.#size) await this.#sink.write(bytes);
    else this.#withheld = Uint8Array.from(bytes);
  }

  moved(bytes: number): void {
    this.#sink.moved(bytes);
  }

  /**
   * Sends the bytes at the end that were withheld, if the digest matches.
   *
   * @throws PeerError `digest`; Error when the bytes cannot be hashed
   */
  async finish(): Promise<void> {
    await this.#hash.verify();
    if (this.#withheld !== undefined) await this.#sink.write(this.#withheld);
  }
}
