import { realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import type { Logger } from 'pino';

import { composeAnew, composeBefore, type Composed, type LeftAlone } from './compose.ts';
import { entryAt, type FileOperations, type FileOwner } from './file-operations.ts';
import { LOCK, lockFolder, type FolderLockInit } from './folder-lock.ts';
import {
  ChangedMeanwhileError,
  RestoreChange,
  WriteChange,
  discard,
  type FolderChange,
} from './folder-change.ts';
import { HostsConfigError, asHostsError, isCode } from './hosts-error.ts';
import {
  DEFAULT_FOLDER,
  registryFolder,
  registryFolders,
  type HostsFile,
  type RegistryHosts,
} from './hosts-toml.ts';
import { seal } from './marker.ts';
import { MADE_ROOT, clearRootLeftovers, isFolder, makeRoot, removeRoot } from './root-folder.ts';
import {
  HOSTS_TOML,
  SET_ASIDE,
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
/** How often a change is thought over when others write at the same time. */
const MAX_ATTEMPTS = 5;

export interface HostsConfiguratorComponents {
  readonly files: FileOperations;
  readonly logger: Logger;
}

export interface HostsConfiguratorInit {
  /** containerd's `config_path`: the folder of all registries. */
  readonly path: string;
  readonly lock?: FolderLockInit;
}

/** What a run changed: paths of files. */
export interface HostsReport {
  readonly written: readonly string[];
  readonly restored: readonly string[];
}

/** How existing files are dealt with. */
export interface ConfigureOptions {
  /** Whether theirs are kept in ours, behind our hosts; they are set aside otherwise. */
  readonly prependExisting: boolean;
}

/**
 * Writes `hosts.toml` files below containerd's `config_path`, and gives back what was there before.
 *
 * Only files that carry a marker with the right checksum are ours. All others are set aside before ours takes their
 * place, each as the same file under another name, so that restoring it is one rename.
 */
export class HostsConfigurator {
  readonly #files: FileOperations;
  readonly #logger: Logger;
  readonly #path: string;
  readonly #lock: FolderLockInit;
  readonly #said = new Set<string>();

  constructor(
    { files, logger }: HostsConfiguratorComponents,
    { path, lock = {} }: HostsConfiguratorInit,
  ) {
    this.#files = files;
    this.#logger = logger;
    this.#path = resolve(path);
    this.#lock = lock;
  }

  /**
   * Makes the files of these registries what they are to be, and gives back what was there for all others. Nothing is
   * written when all is as it should be.
   *
   * @throws HostsConfigError
   */
  async configure(
    wanted: readonly RegistryHosts[],
    options: ConfigureOptions,
    signal: AbortSignal,
  ): Promise<HostsReport> {
    await this.#lookForSpegel();
    return await this.#run(wanted, options, signal);
  }

  /**
   * Gives back everything, down to folders that were made.
   *
   * @throws HostsConfigError
   */
  async cleanup(signal: AbortSignal): Promise<HostsReport> {
    return await this.#run(undefined, { prependExisting: false }, signal);
  }

  /**
   * Makes the folder of all registries when there is none.
   *
   * @returns its path without symbolic links
   * @throws HostsConfigError
   */
  async makeFolder(): Promise<string> {
    try {
      if (!(await isFolder(this.#path))) await makeRoot(this.#files, this.#path);
      return await realpath(this.#path);
    } catch (error) {
      throw asHostsError(error, `cannot write ${this.#path}`);
    }
  }

  async #lookForSpegel(): Promise<void> {
    const backup = join(this.#path, SPEGEL_BACKUP);
    if ((await entryAt(backup).catch(() => undefined)) === undefined) return;
    this.#sayOnce(
      backup,
      'Spegel keeps here what was there before it, and its cleanup removes all else; let that run first',
    );
  }

  async #run(
    wanted: readonly RegistryHosts[] | undefined,
    options: ConfigureOptions,
    signal: AbortSignal,
  ): Promise<HostsReport> {
    const report = { written: [] as string[], restored: [] as string[] };
    try {
      for (let attempt = 1; ; attempt++) {
        signal.throwIfAborted();
        try {
          await this.#attempt(wanted, options, report, signal);
          return report;
        } catch (error) {
          // The folder itself may come and go under our hands, too.
          if (!(error instanceof ChangedMeanwhileError) && !isCode(error, 'ENOENT')) throw error;
          if (attempt < MAX_ATTEMPTS) continue;
          throw new HostsConfigError(`${this.#path}: somebody else keeps writing there`, {
            cause: error,
          });
        }
      }
    } catch (error) {
      throw asHostsError(error, `cannot write ${this.#path}`);
    }
  }

  async #attempt(
    wanted: readonly RegistryHosts[] | undefined,
    options: ConfigureOptions,
    report: { written: string[]; restored: string[] },
    signal: AbortSignal,
  ): Promise<void> {
    // Looked at first without the lock, which is a write already.
    const root = await this.#root(wanted === undefined);
    if (root === undefined) return;
    if (isEmpty(await this.#plan(root, wanted, options))) return;
    const lock = await lockFolder(root, this.#lock, signal);
    try {
      await this.#apply(root, await this.#plan(root, wanted, options), report);
    } finally {
      await lock[Symbol.asyncDispose]();
    }
  }

  async #apply(
    root: string,
    { changes, leftovers, removesRoot }: Plan,
    report: { written: string[]; restored: string[] },
  ): Promise<void> {
    for (const path of leftovers) await discard(this.#files, path);
    try {
      for (const change of changes) await change.prepare();
    } catch (error) {
      await this.#abandon(changes);
      throw error;
    }
    for (const [index, change] of changes.entries()) {
      try {
        await change.commit();
      } catch (error) {
        await this.#abandon(changes.slice(index));
        throw error;
      }
      this.#note(change, report);
    }
    if (removesRoot) await removeRoot(this.#files, root);
  }

  /** Where to write, without symbolic links; undefined when there is nothing to clean up. */
  async #root(isCleanup: boolean): Promise<string | undefined> {
    if (!(await isFolder(this.#path))) {
      if (isCleanup) {
        await clearRootLeftovers(this.#files, this.#path);
        return undefined;
      }
      await makeRoot(this.#files, this.#path);
    }
    return await realpath(this.#path);
  }

  /** What is to be done; reads only. */
  async #plan(
    root: string,
    wanted: readonly RegistryHosts[] | undefined,
    options: ConfigureOptions,
  ): Promise<Plan> {
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

  async #abandon(changes: readonly FolderChange[]): Promise<void> {
    for (const change of changes) {
      // What stays is cleared by the next run; the first error is the one to tell.
      await change.abandon().catch((error: unknown) => {
        this.#logger.warn({ err: error }, 'temporary files could not be removed');
      });
    }
  }

  #note({ action, folder }: FolderChange, report: { written: string[]; restored: string[] }): void {
    const path = join(folder.path, HOSTS_TOML);
    const { current } = folder;
    if (current?.origin === 'edited') {
      const kept = action === 'written' ? join(folder.path, SET_ASIDE) : path;
      this.#logger.warn(
        { path, kept },
        'the file was edited after it was written; the edit is kept',
      );
    }
    if (action === 'written') {
      report.written.push(path);
      this.#logger.info({ path, setAside: current?.origin === 'theirs' }, 'hosts.toml written');
    } else {
      report.restored.push(path);
      this.#logger.info({ path }, 'what was there before is back');
    }
  }
}

const LEFT_ALONE: Record<LeftAlone, string> = {
  first: 'the file asks first what it is to ask first',
  behind:
    'the file names the mirror behind other hosts, and not as a [host."URL"] table that can be moved; move it to the front',
};

/** What a run is to do. */
interface Plan {
  readonly changes: readonly FolderChange[];
  /** Paths of what crashes left. */
  readonly leftovers: readonly string[];
  readonly removesRoot: boolean;
  /** Somebody is at work, or died at it; taking the lock waits for the one and clears away the other. */
  readonly isLocked: boolean;
}

function isEmpty({ changes, leftovers, removesRoot, isLocked }: Plan): boolean {
  return changes.length === 0 && leftovers.length === 0 && !removesRoot && !isLocked;
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
