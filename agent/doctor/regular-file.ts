import { readFile, stat } from 'node:fs/promises';

/** Largest file that is read by default, in bytes. */
const MAX_BYTES = 4 * 1024 * 1024;

/** A path that leads to no file that can be read to its end. */
export class NoRegularFileError extends Error {
  override readonly name = 'NoRegularFileError';
  readonly code = 'ERR_NO_REGULAR_FILE';
}

/**
 * The text of a file. A pipe or a device is not opened: it might never answer, and nothing could end the process then.
 *
 * @param maxBytes largest file that is read. Default 4 MiB
 * @throws NoRegularFileError for what is no file or too large, and the system's errors
 */
export async function readRegularFile(path: string, maxBytes = MAX_BYTES): Promise<string> {
  const entry = await stat(path);
  if (!entry.isFile()) throw new NoRegularFileError('no regular file');
  if (entry.size > maxBytes) {
    throw new NoRegularFileError(`${entry.size} bytes, more than it can have`);
  }
  return await readFile(path, 'utf8');
}
