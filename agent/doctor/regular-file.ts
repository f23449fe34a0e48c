import { readFile, stat } from 'node:fs/promises';

/** Default upper bound for the size of a file, in bytes. */
const MAX_BYTES = 4 * 1024 * 1024;

/** The path does not lead to a regular file, or the file is too large. */
export class NoRegularFileError extends Error {
  override readonly name = 'NoRegularFileError';
  readonly code = 'ERR_NO_REGULAR_FILE';
}

/**
 * Reads a file as text. A pipe or a device is never opened: the read might never end, and nothing could stop it.
 *
 * @param maxBytes upper bound for the size; default 4 MiB
 * @throws NoRegularFileError when it is no regular file or too large; Error with the `code` of the system
 */
export async function readRegularFile(path: string, maxBytes = MAX_BYTES): Promise<string> {
  const entry = await stat(path);
  if (!entry.isFile()) throw new NoRegularFileError('no regular file');
  if (entry.size > maxBytes) {
    throw new NoRegularFileError(`${entry.size} bytes, above the limit of ${maxBytes}`);
  }
  return await readFile(path, 'utf8');
}
