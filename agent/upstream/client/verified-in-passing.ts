import { createHash } from 'node:crypto';

import { digestAlgorithm, digestHex, type Digest } from '../../oci/digest.ts';
import { UpstreamError } from '../upstream-error.ts';

/**
 * Forwards a whole blob and verifies it. The last chunk is forwarded only if the digest matches: a client that does not
 * verify the content itself gets an incomplete body rather than a wrong one.
 *
 * @param host that sends it, for messages
 * @throws UpstreamError `digest`; the error of the body
 */
export async function* verifiedInPassing(
  body: AsyncIterable<Uint8Array>,
  digest: Digest,
  host: string,
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
  if (hash.digest('hex') !== digestHex(digest)) {
    throw new UpstreamError('digest', `${host} sends other bytes than the digest names`);
  }
  if (last !== undefined) yield last;
}
