import { readFile, readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';

import { hasCode } from '../errors/system-error.ts';
import { entryAt, type FileOwner } from './file-operations.ts';
import { HostsConfigError, asHostsError } from './hosts-error.ts';
import { MAX_HOSTS_TOML_BYTES } from './hosts-toml.ts';
import { provenanceOf, type Provenance } from './marker.ts';

/** What containerd reads in the folder of a registry. */
export const HOSTS_TOML = 'hosts.toml';
/** Where theirs stands while ours is in its place. */
export const SET_ASIDE = 'hosts.toml.before-peerglass';
/** Begins the names of files and folders that exist for a moment only, unless a crash leaves them. */
export const TEMPORARY = '.peerglass-tmp.';

/** Entries of a folder beyond which it is not what it should be. */
const MAX_ENTRIES = 10_000;

/** A `hosts.toml`, or one that was set aside. */
export interface HostsTomlFile extends Provenance {
  readonly content: Buffer;
  readonly owner: FileOwner;
}

/** What is in the folder of one registry. */
export interface RegistryFolder {
  readonly name: string;
  readonly path: string;
  /** False where the folder is not there. */
  readonly exists: boolean;
  /** The `hosts.toml`. */
  readonly current?: HostsTomlFile;
  /** The one that was set aside. */
  readonly setAside?: HostsTomlFile;
  /** Names of all that is none of ours. */
  readonly others: readonly string[];
  /** Names of what a crash left. */
  readonly leftovers: readonly string[];
}

/**
 * Looks into the folder of a registry.
 *
 * @param root the folder of all registries, without symbolic links
 * @throws HostsConfigError where something stands that is not to be written to
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
    const setAside = await readHostsToml(root, path, name, SET_ASIDE);
    return {
      name,
      path,
      exists: true,
      ...(current && { current }),
      ...(setAside && { setAside }),
      others: names.filter(
        (each) => each !== HOSTS_TOML && each !== SET_ASIDE && !each.startsWith(TEMPORARY),
      ),
      leftovers: names.filter((each) => each.startsWith(TEMPORARY)),
    };
  } catch (error) {
    throw asHostsError(error, `cannot read ${path}`);
  }
}

/** Names of all entries. */
export async function listFolder(path: string): Promise<string[]> {
  const names = await readdir(path);
  if (names.length > MAX_ENTRIES) {
    throw new HostsConfigError(`${path} has more than ${MAX_ENTRIES} entries`);
  }
  return names;
}

/** The name under which another file that was set aside is kept for good. */
export function earlierName({ others }: RegistryFolder): string {
  for (let number = 1; ; number++) {
    const name = `${SET_ASIDE}.${number}`;
    if (!others.includes(name)) return name;
  }
}

/** Whether two files cannot be told apart. */
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
    throw new HostsConfigError(`${path} has ${size} bytes; containerd's have some hundred`);
  }
  const content = await readFile(path);
  return {
    content,
    owner: { mode: mode & 0o7777, uid, gid },
    ...provenanceOf(content.toString(), folderName),
  };
}

/** A link within the folder is set aside as it is; what is elsewhere is somebody else's. */
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
