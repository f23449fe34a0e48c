import { closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import type { Readable } from 'node:stream';

import { codeOf } from '../../errors/system-error.ts';
import { fileReason } from '../hosts-error.ts';
import { RegistriesError } from './finding.ts';

/** Maximum size of a registries.yaml, in bytes. */
const MAX_REGISTRIES_BYTES = 1024 * 1024;

/** Paths of the file of k3s and of RKE2. */
const DEFAULT_PATHS = [
  '/etc/rancher/k3s/registries.yaml',
  '/etc/rancher/rke2/registries.yaml',
] as const;

/** Path of the registries.yaml of this node's k3s or RKE2; undefined if neither has one. */
export function findRegistriesFile(paths: readonly string[] = DEFAULT_PATHS): string | undefined {
  return paths.find(exists);
}

/** A file that cannot be examined counts as existing: it may restrict which registries are shared. */
function exists(path: string): boolean {
  try {
    statSync(path);
    return true;
  } catch (error) {
    const code = codeOf(error);
    return code !== 'ENOENT' && code !== 'ENOTDIR';
  }
}

/**
 * Reads the text of a registries.yaml.
 *
 * @throws RegistriesError, with the path, for a file that is missing, larger than 1 MiB, or not UTF-8 text
 */
export function readRegistriesFile(path: string): string {
  let file: number;
  try {
    // Without O_NONBLOCK, opening a named pipe waits for a writer.
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

/**
 * Reads the text of a registries.yaml from a stream.
 *
 * @throws RegistriesError, with the name, when it is larger than 1 MiB, or not UTF-8 text
 */
export async function readRegistriesStream(name: string, stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_REGISTRIES_BYTES) {
      throw new RegistriesError(`${name}: a registries.yaml of more than 1 MiB is not read`);
    }
    chunks.push(chunk);
  }
  return decode(name, Buffer.concat(chunks));
}

function decode(path: string, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new RegistriesError(`${path}: not UTF-8 text`);
  }
}

function unreadable(path: string, error: unknown): RegistriesError {
  return new RegistriesError(`${path}: cannot be read: ${fileReason(error)}`);
}
