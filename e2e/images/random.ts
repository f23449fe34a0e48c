import { createCipheriv, createHash } from 'node:crypto';

const CHUNK = 1 << 20;

/**
 * Bytes that look random, do not compress, and are the same for the same seed on every machine: the key
 * stream of AES-128-CTR, at several GiB/s, in chunks of 1 MiB at most.
 */
export function* randomBytes(seed: string, length: number): Generator<Buffer, void, undefined> {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  const cipher = createCipheriv('aes-128-ctr', key, Buffer.alloc(16));
  const zeros = Buffer.alloc(Math.min(CHUNK, length));
  for (let left = length; left > 0; left -= CHUNK) {
    yield cipher.update(zeros.subarray(0, Math.min(CHUNK, left)));
  }
}
