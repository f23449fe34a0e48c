import type { OpenBlob } from './content-store.ts';

/** The blob is larger than its reader accepts. */
export class BlobTooLargeError extends Error {
  override readonly name = 'BlobTooLargeError';
  readonly code = 'ERR_BLOB_TOO_LARGE';
}

/**
 * Reads an open blob into memory. The caller disposes of the blob.
 *
 * @param limit bytes at most
 * @throws BlobTooLargeError before anything is read
 */
export async function readBlob(
  blob: Pick<OpenBlob, 'size' | 'stream'>,
  limit: number,
  signal?: AbortSignal,
): Promise<Buffer> {
  if (blob.size > limit) throw new BlobTooLargeError(`${blob.size} bytes, more than ${limit}`);
  if (blob.size === 0) return Buffer.alloc(0);
  const chunks: Buffer[] = [];
  for await (const chunk of blob.stream({ start: 0, end: blob.size - 1 }, signal)) {
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}
