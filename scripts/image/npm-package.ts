import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { createGunzip } from 'node:zlib';

import { extract } from 'tar-stream';

import { retry, runCommand } from '../system/command.ts';

/** The entry of a package in package-lock.json. */
export interface LockedPackage {
  readonly version: string;
  /** `sha512-<base64>` of the package's archive. Links have none. */
  readonly integrity?: string;
  /** SPDX expression that the package states. */
  readonly license?: string;
}

/** Reads the packages of package-lock.json, by their folders, `node_modules/undici`. */
export async function readLockfile(root: string): Promise<Record<string, LockedPackage>> {
  const text = await readFile(join(root, 'package-lock.json'), 'utf8');
  return (JSON.parse(text) as { packages: Record<string, LockedPackage> }).packages;
}

/**
 * Reads files of a package at its locked version. An installed package is read from node_modules. One for another platform
 * is fetched by npm, and verified here.
 *
 * @param cache folder that keeps the archives
 */
export async function readNpmPackage(
  root: string,
  name: string,
  files: readonly string[],
  cache: string,
): Promise<Map<string, Buffer>> {
  const folder = join(root, 'node_modules', name);
  const found = new Map<string, Buffer>();
  if (existsSync(join(folder, 'package.json'))) {
    for (const file of files) found.set(file, await readFile(join(folder, file)));
    return found;
  }
  const archive = await fetchArchive(root, name, cache);
  for await (const entry of createReadStream(archive).pipe(createGunzip()).pipe(extract())) {
    const file = entry.header.name.replace(/^package\//, '');
    if (files.includes(file)) found.set(file, await buffer(entry));
    else entry.resume();
  }
  for (const file of files) if (!found.has(file)) throw new Error(`${name} has no ${file}`);
  return found;
}

async function fetchArchive(root: string, name: string, cache: string): Promise<string> {
  const locked = (await readLockfile(root))[`node_modules/${name}`];
  if (locked?.integrity === undefined) throw new Error(`${name} is not in package-lock.json`);
  const { version, integrity } = locked;
  await mkdir(cache, { recursive: true });
  const file = join(cache, `${name.replaceAll(/[^a-z0-9-]/g, '-')}-${version}.tgz`);
  if (existsSync(file) && (await integrityOf(file)) === integrity) return file;
  const words = ['npm', 'pack', `${name}@${version}`, '--pack-destination', cache] as const;
  const output = await retry(() =>
    runCommand([...words, '--ignore-scripts', '--loglevel=error'], { cwd: root }),
  );
  const fetched = join(cache, output.trim().split('\n').at(-1) ?? '');
  const actual = await integrityOf(fetched);
  if (actual !== integrity) {
    throw new Error(`${name}@${version} is ${actual}, package-lock.json says ${integrity}`);
  }
  await rename(fetched, file);
  return file;
}

async function integrityOf(file: string): Promise<string> {
  return `sha512-${createHash('sha512')
    .update(await readFile(file))
    .digest('base64')}`;
}
