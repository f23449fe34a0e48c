import { join } from 'node:path';

import type { Logger } from 'pino';

import { composeAnew, composeBefore, type Composed, type LeftAlone } from './compose.ts';
import { entryAt, type FileOperations, type FileOwner } from './file-operations.ts';
import { LOCK } from './folder-lock.ts';
import { RestoreChange, WriteChange, type FolderChange } from './folder-change.ts';
import { HostsConfigError } from './hosts-error.ts';
import {
  DEFAULT_FOLDER,
  registryFolder,
  registryFolders,
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

/** Where Spegel keeps what was there before it. */
const SPEGEL_BACKUP = '_backup';
/** Mode of our files; there are no secrets in them. */
const FILE_MODE = 0o644;
/** Remarks remembered, so that they are not made again. */
const MAX_SAID = 1_000;

/** How existing files are dealt with. */
export interface ConfigureOptions {
  /** Whether theirs are kept in ours, behind our hosts; they are set aside otherwise. */
  readonly prependExisting: boolean;
}

/** What a run is to do. */
export interface HostsPlan {
  readonly changes: readonly FolderChange[];
  /** Paths of what crashes left. */
  readonly leftovers: readonly string[];
  readonly removesRoot: boolean;
  /** Somebody is at work, or died at it; taking the lock waits for the one and clears away the other. */
  readonly isLocked: boolean;
}

/** Whether all is as it is to be. */
export function isEmpty({ changes, leftovers, removesRoot, isLocked }: HostsPlan): boolean {
  return changes.length === 0 && leftovers.length === 0 && !removesRoot && !isLocked;
}

const LEFT_ALONE: Record<LeftAlone, string> = {
  first: 'the file asks first what it is to ask first',
  behind:
    'the file names the mirror behind other hosts, and not as a [host."URL"] table that can be moved; move it to the front',
};

export interface HostsPlannerComponents {
  readonly files: FileOperations;
  readonly logger: Logger;
}

/** Finds out what has to change below containerd's `config_path`; it reads only. */
export class HostsPlanner {
  readonly #files: FileOperations;
  readonly #logger: Logger;
  readonly #said = new Set<string>();

  constructor({ files, logger }: HostsPlannerComponents) {
    this.#files = files;
    this.#logger = logger;
  }

  /** Says so when Spegel's cleanup is still to come, which would remove what is ours. */
  async lookForSpegel(path: string): Promise<void> {
    const backup = join(path, SPEGEL_BACKUP);
    if ((await entryAt(backup).catch(() => undefined)) === undefined) return;
    this.#sayOnce(
      backup,
      'Spegel keeps here what was there before it, and its cleanup removes all else; let that run first',
    );
  }

  /**
   * @param root folder of all registries, without symbolic links
   * @param wanted undefined to give everything back
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
    // Others come last: what is new is there before what is old goes.
    for (const name of names) {
      if (chosen.has(name) || name === SPEGEL_BACKUP || name.startsWith('.')) continue;
      const folder = await this.#readOther(root, name);
      if (folder === undefined) continue;
      leftovers.push(...folder.leftovers.map((each) => join(folder.path, each)));
      const change = this.#restore(folder);
      if (change !== undefined) changes.push(change);
    }
    return {
      changes,
      leftovers,
      removesRoot: wanted === undefined && names.includes(MADE_ROOT),
      isLocked: names.some((name) => name.startsWith(LOCK)),
    };
  }

  /** A folder that nobody told us to configure may be whatever it is. */
  async #readOther(root: string, name: string): Promise<RegistryFolder | undefined> {
    try {
      if ((await entryAt(join(root, name)))?.isDirectory() !== true) return undefined;
      return await readRegistryFolder(root, name);
    } catch (error) {
      if (!(error instanceof HostsConfigError)) throw error;
      this.#sayOnce(join(root, name), `left as it is: ${error.message}`);
      return undefined;
    }
  }

  #write(
    folder: RegistryFolder,
    wanted: HostsFile,
    { prependExisting }: ConfigureOptions,
  ): FolderChange | undefined {
    const { current, setAside, others, exists } = folder;
    const theirs = current !== undefined && current.origin !== 'ours' ? current : setAside;
    const isKept = prependExisting && theirs !== undefined && theirs.content.length > 0;
    let composed: Composed | LeftAlone;
    try {
      composed = isKept
        ? composeBefore(wanted, theirs.content)
        : composeAnew(wanted, { theirs: theirs?.content, files: others });
    } catch (error) {
      if (!(error instanceof HostsConfigError)) throw error;
      throw new HostsConfigError(`${join(folder.path, HOSTS_TOML)}: ${error.message}`, {
        cause: error,
      });
    }
    if (typeof composed === 'string') {
      this.#sayOnce(folder.path, `left as it is: ${LEFT_ALONE[composed]}`);
      return this.#restore(folder);
    }
    const madeFolder = !exists || current?.madeFolder === true;
    const { content, k3s } = composed;
    const sealed = Buffer.from(seal(content, { folder: folder.name, madeFolder, k3s }));
    if (current?.content.equals(sealed) === true) return undefined;
    const owner = isKept ? theirs.owner : ownOwner();
    return new WriteChange(this.#files, folder, sealed, owner);
  }

  #restore(folder: RegistryFolder): FolderChange | undefined {
    const isOurs = folder.current?.origin === 'ours';
    if (!isOurs && folder.setAside === undefined) return undefined;
    return new RestoreChange(this.#files, folder);
  }

  /** What is found at each look is told at the first. */
  #sayOnce(path: string, message: string): void {
    const key = `${path} ${message}`;
    if (this.#said.has(key)) return;
    if (this.#said.size >= MAX_SAID) this.#said.clear();
    this.#said.add(key);
    this.#logger.warn({ path }, message);
  }
}

/** The folder that containerd reads for a registry: the first that is there, else the plain name. */
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
