import { readFile, readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';

import { hasCode } from '../errors/system-error.ts';
import { entryAt, type FileOwner } from './file-operations.ts';
import { HostsConfigError, asHostsError } from './hosts-error.ts';
import { MAX_HOSTS_TOML_BYTES } from './hosts-toml.ts';
import { provenanceOf, type Provenance } from './marker.ts';

/** The file that containerd reads in the folder of a registry. */
export const HOSTS_TOML = 'hosts.toml';
/** Name of the backup of a `hosts.toml` that ours replaced. */
export const BACKUP = 'hosts.toml.before-peerglass';
/** Prefix of the names of temporary files and folders. A crash may leave some. */
export const TEMPORARY = '.peerglass-tmp.';

/** Maximum number of entries of a folder that is read. */
const MAX_ENTRIES = 10_000;

/** A `hosts.toml`, or the backup of one. */
export interface HostsTomlFile extends Provenance {
  readonly content: Buffer;
  readonly owner: FileOwner;
}

/** The content of a registry's folder. */
export interface RegistryFolder {
  readonly name: string;
  readonly path: string;
  /** False if there is no such folder. */
  readonly exists: boolean;
  /** The `hosts.toml`. */
  readonly current?: HostsTomlFile;
  /** The backup of a previous `hosts.toml`. */
  readonly backup?: HostsTomlFile;
  /** Names of all entries that peerglass does not use. */
  readonly others: readonly string[];
  /** Names of temporary entries that a crash left. */
  readonly leftovers: readonly string[];
}

/**
 * Reads the folder of a registry.
 *
 * @param root the folder of all registries, without symbolic links
 * @throws HostsConfigError for entries that peerglass must not replace, such as links out of `root`
 */
export async function readRegistryFolder(root: string, name: string): Promise<RegistryFolder> {
  const path = join(root, name);
  try {
    const entry = await entryAt(path);
    if (entry === undefined) return { name, path, exists: false, others: [], leftovers: [] };
    if (entry.isSymbolicLink()) {
      throw new HostsConfigError(`${path} is a symbolic link; make it a folder`);
    }
    if (!entry.isDirectory()) throw new HostsConfigError(`${path} is not a folder`);
    const names = await listFolder(path);
    const current = await readHostsToml(root, path, name, HOSTS_TOML);
    const backup = await readHostsToml(root, path, name, BACKUP);
    return {
      name,
      path,
      exists: true,
      ...(current && { current }),
      ...(backup && { backup }),
      others: names.filter(
        (each) => each !== HOSTS_TOML && each !== BACKUP && !each.startsWith(TEMPORARY),
      ),
      leftovers: names.filter((each) => each.startsWith(TEMPORARY)),
    };
  } catch (error) {
    throw asHostsError(error, `cannot read ${path}`);
  }
}

/**
 * Names of all entries of a folder.
 *
 * @throws HostsConfigError when there are more than {@link MAX_ENTRIES}
 */
export async function listFolder(path: string): Promise<string[]> {
  const names = await readdir(path);
  if (names.length > MAX_ENTRIES) {
    throw new HostsConfigError(`${path} has more than ${MAX_ENTRIES} entries`);
  }
  return names;
}

/** The first free numbered name, under which an earlier backup is kept permanently. */
export function numberedBackupName({ others }: RegistryFolder): string {
  for (let number = 1; ; number++) {
    const name = `${BACKUP}.${number}`;
    if (!others.includes(name)) return name;
  }
}

/** Whether two files are equal in content, mode and owner. */
export function isSame(one: HostsTomlFile | undefined, other: HostsTomlFile | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  const { mode, uid, gid } = one.owner;
  return (
    one.content.equals(other.content) &&
    mode === other.owner.mode &&
    uid === other.owner.uid &&
    gid === other.owner.gid
  );
}

async function readHostsToml(
  root: string,
  folder: string,
  folderName: string,
  name: string,
): Promise<HostsTomlFile | undefined> {
  const path = join(folder, name);
  const entry = await entryAt(path);
  if (entry === undefined) return undefined;
  if (entry.isSymbolicLink()) await checkLink(root, path);
  const target = await stat(path);
  const { size, mode, uid, gid } = target;
  if (!target.isFile()) throw new HostsConfigError(`${path} is not a file`);
  if (size > MAX_HOSTS_TOML_BYTES) {
    throw new HostsConfigError(`${path} has ${size} bytes, more than ${MAX_HOSTS_TOML_BYTES}`);
  }
  const content = await readFile(path);
  return {
    content,
    owner: { mode: mode & 0o7777, uid, gid },
    ...provenanceOf(content.toString(), folderName),
  };
}

/** Accepts a link within `root`, which is backed up as a link. Files elsewhere belong to others. */
async function checkLink(root: string, path: string): Promise<void> {
  try {
    if ((await realpath(path)).startsWith(root + sep)) return;
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ELOOP')) throw error;
    throw new HostsConfigError(`${path} is a symbolic link that leads nowhere; remove it`, {
      cause: error,
    });
  }
  throw new HostsConfigError(`${path} is a symbolic link out of ${root}; put a file in its place`);
}
