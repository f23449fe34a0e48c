import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';

import { codeOf } from '../../errors/system-error.ts';
import { RegistriesError } from './finding.ts';

/** Largest file that is read, in bytes. */
const MAX_REGISTRIES_BYTES = 1024 * 1024;

/** Where k3s and RKE2 have their file. */
const PLACES = ['/etc/rancher/k3s/registries.yaml', '/etc/rancher/rke2/registries.yaml'] as const;

/** The file of this node's k3s or RKE2, when there is one. */
export function findRegistriesFile(places: readonly string[] = PLACES): string | undefined {
  return places.find(isThere);
}

/** One that cannot be looked at counts as there: it may say that less than everything is shared. */
function isThere(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    const code = codeOf(error);
    return code !== 'ENOENT' && code !== 'ENOTDIR';
  }
}

/**
 * Reads the text of a registries.yaml; one that is too large is not read at all.
 *
 * @throws RegistriesError naming the file
 */
export function readRegistriesFile(path: string): string {
  let file: number;
  try {
    // A pipe that nobody writes to must not stop us.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    throw unreadable(path, error);
  }
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new RegistriesError(`${path}: not a regular file`);
    if (stat.size > MAX_REGISTRIES_BYTES) {
      throw new RegistriesError(
        `${path}: ${stat.size} bytes; a registries.yaml of more than 1 MiB is not read`,
      );
    }
    const buffer = Buffer.alloc(stat.size);
    let length = 0;
    for (let read = -1; read !== 0 && length < buffer.length; length += read) {
      read = readSync(file, buffer, length, buffer.length - length, null);
    }
    return decode(path, buffer.subarray(0, length));
  } catch (error) {
    throw error instanceof RegistriesError ? error : unreadable(path, error);
  } finally {
    closeSync(file);
  }
}

function decode(path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new RegistriesError(`${path}: no text in UTF-8`);
  }
}

function unreadable(path: string, error: unknown): RegistriesError {
  const code = codeOf(error) ?? 'unknown error';
  const reason =
    { ENOENT: 'no such file', EACCES: 'not permitted; this needs root', EISDIR: 'a folder' }[
      code
    ] ?? code;
  return new RegistriesError(`${path}: cannot be read: ${reason}`);
}
