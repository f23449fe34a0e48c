import { constants, type Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';

import { codeOf } from '../errors/system-error.ts';

/** Default upper bound for the size of a text, in bytes. */
const MAX_TEXT_BYTES = 4 * 1024 * 1024;
/** What is read at once. */
const CHUNK_BYTES = 64 * 1024;
/** Without O_NONBLOCK, opening a pipe waits for a writer. */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** What is wrong, and what to do. Others are given by who reads. */
const PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: 'does not exist; correct the path',
  EACCES: 'must be readable by the agent; give it read permission',
  EISDIR: 'is a folder; name the file in it',
  ERR_NO_REGULAR_FILE: 'is a pipe, a socket or a device; name a regular file',
  ERR_FILE_TOO_LARGE: 'is too large; name another file',
};

/**
 * The path leads to something that is not read:
 * - `EISDIR`: a folder.
 * - `ERR_NO_REGULAR_FILE`: a pipe, a socket or a device.
 * - `ERR_FILE_TOO_LARGE`: a file above the bound.
 */
export class UnsuitableFileError extends Error {
  override readonly name = 'UnsuitableFileError';
  readonly code: 'EISDIR' | 'ERR_NO_REGULAR_FILE' | 'ERR_FILE_TOO_LARGE';

  constructor(code: UnsuitableFileError['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Reads a whole file that is small, such as a key or a configuration. A pipe or a device is never read: that might never
 * end, and nothing could stop it.
 *
 * @param maxBytes upper bound for the size
 * @throws UnsuitableFileError; Error with the `code` of the system
 */
export async function readSmallFile(path: string, maxBytes: number): Promise<Buffer> {
  // Before it is opened, which some devices notice; and after it, since the path may have changed meanwhile.
  check(await stat(path), maxBytes);
  await using file = await open(path, FLAGS);
  check(await file.stat(), maxBytes);
  // To the end and not to its size: the file may grow, and some file systems say nothing of the size.
  const chunks: Buffer[] = [];
  for (let length = 0; ;) {
    const chunk = Buffer.alloc(Math.min(CHUNK_BYTES, maxBytes + 1 - length));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, null);
    if (bytesRead === 0) return Buffer.concat(chunks);
    length += bytesRead;
    if (length > maxBytes) throw tooLarge(length, maxBytes);
    chunks.push(chunk.subarray(0, bytesRead));
  }
}

/**
 * Reads a whole text, see {@link readSmallFile}.
 *
 * @param maxBytes default 4 MiB
 */
export async function readSmallText(path: string, maxBytes = MAX_TEXT_BYTES): Promise<string> {
  return (await readSmallFile(path, maxBytes)).toString('utf8');
}

/**
 * What is wrong with a file that could not be read, and what to do, for a message that names the file before it.
 *
 * @param own instead of the general texts, by the code of the error
 */
export function fileProblem(error: unknown, own: Readonly<Record<string, string>> = {}): string {
  const code = codeOf(error) ?? 'unknown';
  return own[code] ?? PROBLEMS[code] ?? `cannot be read (${code}); look at the disk`;
}

/** @throws UnsuitableFileError */
function check(entry: Stats, maxBytes: number): void {
  if (entry.isDirectory()) throw new UnsuitableFileError('EISDIR', 'is a folder');
  if (!entry.isFile()) throw new UnsuitableFileError('ERR_NO_REGULAR_FILE', 'no regular file');
  if (entry.size > maxBytes) throw tooLarge(entry.size, maxBytes);
}

function tooLarge(size: number, maxBytes: number): UnsuitableFileError {
  const message = `${size} bytes, above the limit of ${maxBytes}`;
  return new UnsuitableFileError('ERR_FILE_TOO_LARGE', message);
}
