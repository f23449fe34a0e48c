import { createHash } from 'node:crypto';

import { digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts';

/**
 * Forwards a whole body and verifies it against its digest. The last chunk is forwarded only if the digest matches: a
 * client that does not verify the content itself gets an incomplete body rather than a wrong one.
 *
 * @param mismatch makes the error for other bytes than the digest names
 * @throws the error of `mismatch`; the error of the body
 */
export async function* verifiedInPassing(
  body: AsyncIterable<Uint8Array>,
  digest: Digest,
  mismatch: () => Error,
): AsyncGenerator<Uint8Array> {
  const hash = createHash(digestAlgorithm(digest));
  let last: Uint8Array | undefined;
  try {
    for await (const chunk of body) {
      hash.update(chunk);
      if (last !== undefined) yield last;
      last = chunk;
    }
  } catch (error) {
    // This chunk was not the last one of the content, and the client may resume after it.
    if (last !== undefined) yield last;
    throw error;
  }
  if (hash.digest('hex') !== digestHex(digest)) throw mismatch();
  if (last !== undefined) yield last;
}
