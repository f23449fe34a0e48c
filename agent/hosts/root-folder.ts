import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

import { hasCode } from '../errors/system-error.ts';
import { temporaryName } from './folder-change.ts';
import { LOCK } from './folder-lock.ts';
import type { FileOperations } from './file-operations.ts';
import { HostsConfigError } from './hosts-error.ts';
import { TEMPORARY } from './registry-folder.ts';

/** Marks the folder of all registries as created by peerglass, which then removes it when it is empty. */
export const MADE_ROOT = '.peerglass-made';

/** Copy of the CA by which containerd verifies the mirror, for a mirror in a pod. */
export const AUTHORITY_COPY = '.peerglass-ca.crt';

function isOurs(name: string): boolean {
  return name === MADE_ROOT || name === AUTHORITY_COPY || name.startsWith(LOCK);
}

/**
 * Whether there is a folder at the path. Links are followed.
 *
 * @throws HostsConfigError when something else is there
 */
export async function isFolder(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false;
    throw error;
  }
  throw new HostsConfigError(`${path} is not a folder`);
}

/**
 * Creates the folder of all registries.
 *
 * @throws HostsConfigError when its parent is missing: then containerd probably uses another path
 */
export async function makeRoot(files: FileOperations, path: string): Promise<void> {
  const parent = dirname(path);
  if (!(await isFolder(parent))) {
    throw new HostsConfigError(
      `${parent} does not exist; see what containerd's config_path is, and give that as --containerd-registry-config-path`,
    );
  }
  await clearRootLeftovers(files, path);
  const made = join(parent, `${basename(path)}${temporaryName()}`);
  await files.makeFolder(made, 0o755);
  try {
    const owner = { mode: 0o644, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    await files.create(join(made, MADE_ROOT), Buffer.alloc(0), owner);
    await files.rename(made, path);
  } catch (error) {
    await removeMade(files, made);
    // Another agent has created it in the meantime.
    if (!hasCode(error, 'EEXIST', 'ENOTEMPTY')) throw error;
  }
  await files.sync(parent);
}

/** Removes the folder, or only the mark in it when the folder has other files. */
export async function removeRoot(files: FileOperations, path: string): Promise<void> {
  const names = await readdir(path);
  if (!names.every(isOurs)) {
    await forgetRoot(files, path);
    return;
  }
  // Rename first, so that a crash leaves no folder without its mark.
  const away = `${path}${temporaryName()}`;
  try {
    await files.rename(path, away);
  } catch (error) {
    // A mount point: the folder was mounted into a pod in the meantime.
    if (!hasCode(error, 'EBUSY')) throw error;
    await forgetRoot(files, path);
    return;
  }
  await removeMade(files, away);
  await files.sync(dirname(path));
}

async function forgetRoot(files: FileOperations, path: string): Promise<void> {
  await files.removeFile(join(path, MADE_ROOT));
  await files.sync(path);
}

/** Removes temporary folders that crashes left beside the folder. */
export async function clearRootLeftovers(files: FileOperations, path: string): Promise<void> {
  const parent = dirname(path);
  const names = await readdir(parent).catch(() => []);
  for (const name of names.filter((each) => each.startsWith(`${basename(path)}${TEMPORARY}`))) {
    await removeMade(files, join(parent, name));
  }
}

async function removeMade(files: FileOperations, path: string): Promise<void> {
  const names = await readdir(path).catch(() => []);
  for (const name of names.filter(isOurs)) {
    await files.removeFile(join(path, name)).catch(ignoreMissing);
  }
  await files.removeFolder(path).catch(ignoreMissing);
}

function ignoreMissing(error: unknown): void {
  // Files that another process added in the meantime must stay.
  if (!hasCode(error, 'ENOENT', 'ENOTEMPTY')) throw error;
}
