import { createHash } from 'node:crypto';

import { verifiedInPassing } from '../../content/verified-in-passing.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { digestAlgorithm, digestHex } from '../../oci/digest.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { PeerError, toPeerError } from '../client/peer-error.ts';

/** Slowest average rate, in bytes per second, at which a body may arrive that is verified before it is used. */
export const MIN_RATE = 512 * 1024;

/** Time that is allowed on top of {@link MIN_RATE}, in milliseconds. */
export const GRACE_MS = 1_000;

/** How often the rate is checked while a body arrives, in milliseconds. */
const CHECK_MS = 250;

/** The longest time in which this many bytes may arrive, in milliseconds. */
export function allowedMs(bytes: number): number {
  return GRACE_MS + (bytes / MIN_RATE) * 1000;
}

/**
 * Reads a whole answer into memory and verifies it against its digest.
 *
 * @param signal ends it
 * @param onEnd called with the bytes that have come, and after how many milliseconds, however it ends
 * @throws PeerError `digest` for wrong bytes; `body` when the body breaks; `timeout` as soon as it is slower than
 * {@link allowedMs}; `protocol` when it is too long; or the signal's reason as a PeerError
 */
export async function readVerified(
  response: PeerResponse,
  signal: AbortSignal,
  onEnd: (bytes: number, milliseconds: number) => void = () => undefined,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const start = performance.now();
  let length = 0;
  const { body } = response;
  const end = (): void => {
    body.destroy(toPeerError(signal.reason, 'timeout'));
  };
  signal.addEventListener('abort', end, { once: true });
  if (signal.aborted) end();
  try {
    await verifyBody(response, (chunk) => {
      length += chunk.length;
      chunks.push(chunk);
    });
  } finally {
    onEnd(length, performance.now() - start);
    signal.removeEventListener('abort', end);
  }
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
  let elapsed = 0;
  // Not the time by the clock: while this process does not get to run, bytes may have arrived without being read.
  const timer = setInterval(() => {
    elapsed += CHECK_MS;
    if (elapsed <= allowedMs(length)) return;
    body.destroy(new PeerError('timeout', `${length} bytes in ${elapsed} ms`));
  }, CHECK_MS);
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
    clearInterval(timer);
  }
  if (length !== descriptor.size) throw new PeerError('body', 'body ended early');
  if (hash.digest('hex') !== digestHex(descriptor.digest)) throw digestMismatch();
}

/** See `verifiedInPassing`. @throws PeerError `digest`; the error of the body */
export function verifyInPassing(
  body: AsyncIterable<Uint8Array>,
  { digest }: Descriptor,
): AsyncGenerator<Uint8Array> {
  return verifiedInPassing(body, digest, digestMismatch);
}

function digestMismatch(): PeerError {
  return new PeerError('digest', 'bytes do not match their digest');
}
