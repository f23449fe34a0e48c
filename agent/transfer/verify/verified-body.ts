import { createHash } from 'node:crypto';

import type { Descriptor } from '../../oci/descriptor.ts';
import { digestAlgorithm, digestHex } from '../../oci/digest.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { PeerError, toPeerError } from '../client/peer-error.ts';

/** A peer that sends a body that is only to be verified more slowly than this, in bytes a second, is given up. */
export const SLOWEST_RATE = 512 * 1024;

/** Allowed on top of the time that the slowest rate gives, in milliseconds. */
export const GRACE_MS = 1_000;

/**
 * Reads a whole answer and checks it against its digest.
 *
 * @throws PeerError `digest` for wrong bytes, `body` or `timeout` when it breaks, `protocol` when it is too long
 */
export async function readVerified(response: PeerResponse): Promise<Buffer> {
  const chunks: Buffer[] = [];
  await verifyBody(response, (chunk) => chunks.push(chunk));
  return Buffer.concat(chunks);
}

/**
 * Like {@link readVerified}, of any length and without keeping it.
 *
 * @param take gets each piece, before it is known whether it is right
 */
export async function verifyBody(
  { descriptor, body }: PeerResponse,
  take: (chunk: Buffer) => void = () => undefined,
): Promise<void> {
  const hash = createHash(digestAlgorithm(descriptor.digest));
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
      take(chunk);
    }
  } catch (error) {
    throw toPeerError(error, 'body');
  } finally {
    clearTimeout(timer);
  }
  if (length !== descriptor.size) throw new PeerError('body', 'body ended early');
  if (hash.digest('hex') !== digestHex(descriptor.digest)) throw wrongBytes();
}

/**
 * Passes a whole body on and checks it against its digest; the last piece goes out only when it is right. Who
 * gets it from here without verifying it sees a broken body rather than a wrong one.
 *
 * @throws PeerError `digest`; what the body throws
 */
export async function* checkedInPassing(
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
    // It was not the last one then, and the client resumes behind it.
    if (last !== undefined) yield last;
    throw error;
  }
  if (hash.digest('hex') !== digestHex(digest)) throw wrongBytes();
  if (last !== undefined) yield last;
}

function wrongBytes(): PeerError {
  return new PeerError('digest', 'bytes do not match their digest');
}
