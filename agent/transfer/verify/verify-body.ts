import { createHash } from 'node:crypto';

import type { Descriptor } from '../../oci/descriptor.ts';
import { digestAlgorithm, digestHex } from '../../oci/digest.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { PeerError, toPeerError } from '../client/peer-error.ts';

/** Slowest average rate, in bytes per second, at which a body may arrive that is verified before it is used. */
export const MIN_RATE = 512 * 1024;

/** Time that is allowed on top of {@link MIN_RATE}, in milliseconds. */
export const GRACE_MS = 1_000;

/**
 * Reads a whole answer into memory and verifies it against its digest.
 *
 * @throws PeerError `digest` for wrong bytes; `body` when the body breaks; `timeout` when it is slower than
 * {@link MIN_RATE}; `protocol` when it is too long
 */
export async function readVerified(response: PeerResponse): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await verifyBody(response, (chunk) => chunks.push(chunk));
  return Buffer.concat(chunks);
}

/**
 * Reads a whole answer of any length and verifies it against its digest, without keeping it.
 *
 * @param onChunk receives each chunk before it is verified
 * @throws as {@link readVerified}
 */
export async function verifyBody(
  { descriptor, body }: PeerResponse,
  onChunk: (chunk: Buffer) => void = () => undefined,
): Promise<void> {
  const hash = createHash(digestAlgorithm(descriptor.digest));
  let length = 0;
  const within = GRACE_MS + (descriptor.size / MIN_RATE) * 1000;
  const timer = setTimeout(() => {
    body.destroy(new PeerError('timeout', `not complete in ${Math.round(within)} ms`));
  }, within);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > descriptor.size) throw new PeerError('protocol', 'more bytes than declared');
      hash.update(chunk);
      onChunk(chunk);
    }
  } catch (error) {
    throw toPeerError(error, 'body');
  } finally {
    clearTimeout(timer);
  }
  if (length !== descriptor.size) throw new PeerError('body', 'body ended early');
  if (hash.digest('hex') !== digestHex(descriptor.digest)) throw digestMismatch();
}

/**
 * Forwards a whole body and verifies it against its digest. The last chunk is forwarded only if the digest matches: a
 * client that does not verify the content itself gets an incomplete body rather than a wrong one.
 *
 * @throws PeerError `digest`; the error of the body
 */
export async function* verifyInPassing(
  body: AsyncIterable<Uint8Array>,
  { digest }: Descriptor,
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
  if (hash.digest('hex') !== digestHex(digest)) throw digestMismatch();
  if (last !== undefined) yield last;
}

function digestMismatch(): PeerError {
  return new PeerError('digest', 'bytes do not match their digest');
}
