import { createHash } from 'node:crypto';

import type { Sink } from '../../native/sink.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { digestAlgorithm, digestHex } from '../../oci/digest.ts';

/** Parts of a {@link PassingHash}. */
export interface PassingHashComponents {
  readonly sink: Sink;
  /** Makes the error for other bytes than the digest names. */
  readonly mismatch: () => Error;
}

/**
 * Forwards a whole body that passes through the process, and hashes it on its way. The last bytes are sent only when the digest
 * matches. Bytes that are here anyway are not worth a copy for another thread.
 */
export class PassingHash implements Sink {
  readonly #components: PassingHashComponents;
  readonly #descriptor: Descriptor;
  readonly #hash;
  #left: number;
  #withheld: Uint8Array | undefined;

  constructor(components: PassingHashComponents, descriptor: Descriptor) {
    this.#components = components;
    this.#descriptor = descriptor;
    this.#hash = createHash(digestAlgorithm(descriptor.digest));
    this.#left = descriptor.size;
  }

  get socket(): Sink['socket'] {
    return this.#components.sink.socket;
  }

  async write(bytes: Uint8Array): Promise<void> {
    this.#hash.update(bytes);
    this.#left -= bytes.length;
    if (this.#left > 0) await this.#components.sink.write(bytes);
    else this.#withheld = Uint8Array.from(bytes);
  }

  /** Never called: the kernel moves nothing past a hash. */
  moved(): void {
    throw new TypeError('bytes that are not hashed');
  }

  /**
   * Sends the bytes at the end, if the digest matches.
   *
   * @throws the error of `mismatch`
   */
  async finish(): Promise<void> {
    const { sink, mismatch } = this.#components;
    if (this.#hash.digest('hex') !== digestHex(this.#descriptor.digest)) throw mismatch();
    if (this.#withheld !== undefined) await sink.write(this.#withheld);
  }
}
