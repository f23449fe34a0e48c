import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import { isRegistry } from '../oci/reference.ts';
import { normalized } from './compose.ts';
import { parseHostsToml, registryOfFolder, type HostEntry } from './hosts-toml.ts';
import type { HostsTomlFile, RegistryFolder } from './registry-folder.ts';
import { HostsTomlError } from './toml-table.ts';

/** A folder below containerd's `config_path` that is not written. */
export interface OtherFolder {
  readonly name: string;
  /** Its content; undefined when it could not be read or is a symbolic link. */
  readonly folder: RegistryFolder | undefined;
  /** The mirror that `_default` names first. */
  readonly mirror: Pick<HostEntry, 'url'>;
}

/** Whether the folder belongs to no registry, or to one on loopback, which is not mirrored. */
export function isNoMirroredRegistry(name: string): boolean {
  // Names of backups begin with "_" or ".".
  if (/^[_.]/.test(name) || /^(localhost|127\.|\[::1\])/.test(name)) return true;
  return !isRegistry(registryOfFolder(name));
}

/**
 * Whether containerd will use the folder of a registry instead of `_default`, and will not find the mirror there, once
 * our own files in it are restored. An empty folder hides `_default` as well.
 */
export async function hidesDefault(
  root: string,
  { name, folder, mirror }: OtherFolder,
): Promise<boolean> {
  if (isNoMirroredRegistry(name)) return false;
  if (folder === undefined) {
    return (await stat(join(root, name)).catch(() => undefined))?.isDirectory() === true;
  }
  if (!folder.exists) return false;
  const { current, backup, others } = folder;
  const file = current?.origin === 'ours' ? backup : (current ?? backup);
  if (file !== undefined) return !names(file, mirror.url);
  const isRemoved = current?.madeFolder === true && others.length === 0;
  return !isRemoved;
}

function names({ content }: HostsTomlFile, url: string): boolean {
  try {
    const { hosts } = parseHostsToml(content.toString());
    return hosts.some((host) => normalized(host.url) === normalized(url));
  } catch (error) {
    if (error instanceof HostsTomlError) return false;
    throw error;
  }
}
