import { join } from 'node:path';

import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';

import {
  composeReplacement,
  composePrepended,
  type ComposedFile,
  type LeftAlone,
} from './compose.ts';
import { entryAt, type FileOperations, type FileOwner } from './file-operations.ts';
import { LOCK } from './folder-lock.ts';
import { RestoreChange, WriteChange, type FolderChange } from './folder-change.ts';
import { parsesAs } from './host-tables.ts';
import { hidesDefault } from './hidden-default.ts';
import { HostsConfigError } from './hosts-error.ts';
import {
  DEFAULT_FOLDER,
  parseHostsToml,
  registryFolder,
  registryFolders,
  registryOfFolder,
  type HostsFile,
  type RegistryHosts,
} from './hosts-toml.ts';
import { seal } from './marker.ts';
import { MADE_ROOT } from './root-folder.ts';
import {
  HOSTS_TOML,
  TEMPORARY,
  listFolder,
  readRegistryFolder,
  type RegistryFolder,
} from './registry-folder.ts';

/** Folder in which Spegel keeps its backups. */
const SPEGEL_BACKUP = '_backup';
/** Mode of our files without secrets. */
const FILE_MODE = 0o644;
/** What others than the owner may do with a file that has credentials in a header: nothing. */
const OTHERS = 0o077;
/** Maximum number of warnings remembered, so that they are not repeated. */
const MAX_WARNINGS = 1_000;
/** Maximum number of registries that a warning names. */
const MAX_NAMED = 20;

/** How existing files are handled. */
export interface ConfigureOptions {
  /** Whether hosts of an existing file are kept, after ours. Otherwise the file is backed up. */
  readonly prependExisting: boolean;
}

/** The changes that a run will make. */
export interface HostsPlan {
  readonly changes: readonly FolderChange[];
  /** Paths of temporary entries that crashes left. */
  readonly leftovers: readonly string[];
  /** Whether the folder of all registries is removed at the end: it was created by peerglass. */
  readonly removesRoot: boolean;
  /** Whether there is a lock file. Taking the lock waits for its owner, or removes the file of a dead one. */
  readonly isLocked: boolean;
}

/** Whether there is nothing to do. */
export function isEmpty({ changes, leftovers, removesRoot, isLocked }: HostsPlan): boolean {
  return changes.length === 0 && leftovers.length === 0 && !removesRoot && !isLocked;
}

const LEFT_ALONE: Record<LeftAlone, string> = {
  first: 'the mirror is already the first host of the file',
  behind:
    'the file names the mirror after other hosts, and not in a [host."URL"] table that can be moved; move it to the front',
};

export interface HostsPlannerComponents {
  readonly files: FileOperations;
  readonly logger: Logger;
}

/** Plans the changes below containerd's `config_path`. It only reads. */
export class HostsPlanner {
  readonly #files: FileOperations;
  readonly #logger: Logger;
  readonly #warned = new LRUCache<string, true>({ max: MAX_WARNINGS });

  constructor({ files, logger }: HostsPlannerComponents) {
    this.#files = files;
    this.#logger = logger;
  }

  /** Warns when Spegel's backups exist: its cleanup has not run yet, and would remove our files. */
  async warnOfSpegel(path: string): Promise<void> {
    const backup = join(path, SPEGEL_BACKUP);
    if ((await entryAt(backup).catch(() => undefined)) === undefined) return;
    this.#warnOnce(
      backup,
      'backups of Spegel: its cleanup restores them and removes all other files; run it first',
    );
  }

  /**
   * @param root folder of all registries, without symbolic links
   * @param wanted undefined to restore everything
   * @throws HostsConfigError
   */
  async plan(
    root: string,
    wanted: readonly RegistryHosts[] | undefined,
    options: ConfigureOptions,
  ): Promise<HostsPlan> {
    const names = await listFolder(root);
    const leftovers = names.filter(isTemporary).map((name) => join(root, name));
    const changes: FolderChange[] = [];
    const chosen = new Set<string>();
    for (const registry of wanted ?? []) {
      const name = folderOf(registry.registry, names);
      if (chosen.has(name)) throw new HostsConfigError(`${registry.registry} is given twice`);
      chosen.add(name);
      const folder = await readRegistryFolder(root, name);
      leftovers.push(...folder.leftovers.map((each) => join(folder.path, each)));
      const change = this.#write(folder, registry.file, options);
      if (change !== undefined) changes.push(change);
    }
    const mirror = wanted?.find(({ registry }) => registry === DEFAULT_FOLDER)?.file.hosts[0];
    const hidden: string[] = [];
    // Restores come last, so that new files exist before old ones go.
    for (const name of names) {
      if (chosen.has(name) || name === SPEGEL_BACKUP || name.startsWith('.')) continue;
      const folder = await this.#readOther(root, name);
      if (mirror !== undefined && (await hidesDefault(root, { name, folder, mirror }))) {
        hidden.push(registryOfFolder(name));
      }
      if (folder === undefined) continue;
      leftovers.push(...folder.leftovers.map((each) => join(folder.path, each)));
      const change = this.#restore(folder);
      if (change !== undefined) changes.push(change);
    }
    this.#warnOfHidden(root, hidden);
    return {
      changes,
      leftovers,
      removesRoot: wanted === undefined && names.includes(MADE_ROOT),
      isLocked: names.some((name) => name.startsWith(LOCK)),
    };
  }

  /** Says which registries stay without the mirror, and why. */
  #warnOfHidden(root: string, hidden: readonly string[]): void {
    if (hidden.length === 0) return;
    const named = hidden.slice(0, MAX_NAMED).join(' ');
    const more = hidden.length > MAX_NAMED ? ` and ${hidden.length - MAX_NAMED} more` : '';
    this.#warnOnce(
      root,
      `containerd will not ask the mirror for ${named}${more}: the folder of a registry hides _default, and these do not name the mirror; name them as well, with --mirrored-registries '*' ${named} --prepend-existing, or in registries.yaml`,
    );
  }

  /** Reads a folder that is not wanted. One that cannot be read is left alone, with a warning. */
  async #readOther(root: string, name: string): Promise<RegistryFolder | undefined> {
    try {
      if ((await entryAt(join(root, name)))?.isDirectory() !== true) return undefined;
      return await readRegistryFolder(root, name);
    } catch (error) {
      if (!(error instanceof HostsConfigError)) throw error;
      this.#warnOnce(join(root, name), `left unchanged: ${error.message}`);
      return undefined;
    }
  }

  #write(
    folder: RegistryFolder,
    wanted: HostsFile,
    { prependExisting }: ConfigureOptions,
  ): FolderChange | undefined {
    const { current, backup, others, exists } = folder;
    const theirs = current !== undefined && current.origin !== 'ours' ? current : backup;
    const isKept = prependExisting && theirs !== undefined && theirs.content.length > 0;
    let composed: ComposedFile | LeftAlone;
    try {
      composed = isKept
        ? composePrepended(wanted, theirs.content)
        : composeReplacement(wanted, { theirs: theirs?.content, files: others });
    } catch (error) {
      if (!(error instanceof HostsConfigError)) throw error;
      throw new HostsConfigError(`${join(folder.path, HOSTS_TOML)}: ${error.message}`, {
        cause: error,
      });
    }
    if (typeof composed === 'string') {
      this.#warnOnce(folder.path, `left unchanged: ${LEFT_ALONE[composed]}`);
      return this.#restore(folder);
    }
    const madeFolder = !exists || current?.madeFolder === true;
    const { content, k3s } = composed;
    const sealed = Buffer.from(seal(content, { folder: folder.name, madeFolder, k3s }));
    if (current?.content.equals(sealed) === true) return undefined;
    if (!parsesAs(sealed.toString(), parseHostsToml(content))) {
      throw new HostsConfigError(
        `${join(folder.path, HOSTS_TOML)}: the hosts cannot be added to this file; leave out --prepend-existing to have it backed up`,
      );
    }
    const owner = isKept ? theirs.owner : ownOwner();
    const hasSecret = wanted.hosts.some(({ header }) => header !== undefined);
    if (hasSecret) {
      const mode = owner.mode & ~OTHERS;
      return new WriteChange(this.#files, folder, sealed, { ...owner, mode });
    }
    return new WriteChange(this.#files, folder, sealed, owner);
  }

  #restore(folder: RegistryFolder): FolderChange | undefined {
    const isOurs = folder.current?.origin === 'ours';
    if (!isOurs && folder.backup === undefined) return undefined;
    return new RestoreChange(this.#files, folder);
  }

  /** Logs a warning once, although every check finds the same. */
  #warnOnce(path: string, message: string): void {
    const key = `${path} ${message}`;
    if (this.#warned.has(key)) return;
    this.#warned.set(key, true);
    this.#logger.warn({ path }, message);
  }
}

/** The folder that containerd reads for a registry: the first that exists, or else the registry's name. */
function folderOf(registry: string, names: readonly string[]): string {
  const candidates = registryFolders(registry).filter(
    (name) => name === registry || name !== DEFAULT_FOLDER,
  );
  return candidates.find((name) => names.includes(name)) ?? registryFolder(registry);
}

function isTemporary(name: string): boolean {
  return name.startsWith(TEMPORARY);
}

function ownOwner(): FileOwner {
  return { mode: FILE_MODE, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
}
