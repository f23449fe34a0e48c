import { xsalsa20 } from '@noble/ciphers/salsa.js';

/** Bytes that one step of the cipher makes. */
const BLOCK = 64;

/** The key stream of XSalsa20, of which each call takes the next part. */
export class KeyStream {
  readonly #key: Uint8Array;
  readonly #nonce: Uint8Array;
  #at = 0;

  /**
   * @param key 32 bytes
   * @param nonce 24 bytes
   */
  constructor(key: Uint8Array, nonce: Uint8Array) {
    this.#key = key;
    this.#nonce = nonce;
  }

  /**
   * Encrypts or decrypts; the result has the length of the data.
   *
   * @throws RangeError after 256 GiB, which is as far as the counter goes
   */
  xor(data: Uint8Array): Uint8Array {
    const block = Math.floor(this.#at / BLOCK);
    const used = this.#at % BLOCK;
    this.#at += data.length;
    if (used === 0) return xsalsa20(this.#key, this.#nonce, data, undefined, block);
    // The cipher begins with a whole block.
    const padded = new Uint8Array(used + data.length);
    padded.set(data, used);
    return xsalsa20(this.#key, this.#nonce, padded, undefined, block).subarray(used);
  }
}
