import { createHash } from 'node:crypto';

import { digestAlgorithm, digestHex } from '../oci/digest.ts';
import type { PeerResponse } from './peer-client.ts';
import { PeerError, toPeerError } from './peer-error.ts';

/** A peer that sends a held-back body more slowly than this, in bytes a second, is given up. */
const SLOWEST_RATE = 512 * 1024;

/** Allowed on top of the time that the slowest rate gives, in milliseconds. */
const GRACE_MS = 1_000;

/**
 * Reads a whole answer and checks it against its digest.
 *
 * @throws PeerError `digest` for wrong bytes, `body` or `timeout` when it breaks, `protocol` when it is too long
 */
export async function readVerified({ descriptor, body }: PeerResponse): Promise<Buffer> {
  const hash = createHash(digestAlgorithm(descriptor.digest));
  const chunks: Buffer[] = [];
  let length = 0;
  const within = GRACE_MS + (descriptor.size / SLOWEST_RATE) * 1000;
  const timer = setTimeout(() => {
    body.destroy(new PeerError('timeout', `not complete in ${Math.round(within)} ms`));
  }, within);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > descriptor.size) throw new PeerError('protocol', 'more bytes than declared');
      hash.update(chunk);
      chunks.push(chunk);
    }
  } catch (error) {
    throw toPeerError(error, 'body');
  } finally {
    clearTimeout(timer);
  }
  if (length !== descriptor.size) throw new PeerError('body', 'body ended early');
  if (hash.digest('hex') !== digestHex(descriptor.digest)) {
    throw new PeerError('digest', 'bytes do not match their digest');
  }
  return Buffer.concat(chunks);
}
