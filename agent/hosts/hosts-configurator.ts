import { realpath } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import type { Logger } from 'pino';

import { hasCode } from '../errors/system-error.ts';
import type { FileOperations } from './file-operations.ts';
import { lockFolder, type FolderLockInit } from './folder-lock.ts';
import { ChangedMeanwhileError, discard, type FolderChange } from './folder-change.ts';
import { HostsConfigError, asHostsError } from './hosts-error.ts';
import { HostsPlanner, isEmpty, type ConfigureOptions, type HostsPlan } from './hosts-plan.ts';
import type { RegistryHosts } from './hosts-toml.ts';
import { clearRootLeftovers, isFolder, makeRoot, removeRoot } from './root-folder.ts';
import { HOSTS_TOML, BACKUP } from './registry-folder.ts';

/** Maximum number of attempts when other processes write at the same time. */
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

/** Paths of the files that a run changed. */
export interface HostsReport {
  readonly written: readonly string[];
  readonly restored: readonly string[];
}

/**
 * Writes `hosts.toml` files below containerd's `config_path`, and restores the files that it replaced.
 *
 * A file is ours only if it has a marker with the right checksum. Any other file is backed up before ours replaces it: a
 * hard link keeps the same file under another name, so that one rename restores it.
 */
export class HostsConfigurator {
  readonly #files: FileOperations;
  readonly #logger: Logger;
  readonly #path: string;
  readonly #lock: FolderLockInit;
  readonly #planner: HostsPlanner;

  constructor(
    { files, logger }: HostsConfiguratorComponents,
    { path, lock = {} }: HostsConfiguratorInit,
  ) {
    this.#files = files;
    this.#logger = logger;
    this.#planner = new HostsPlanner({ files, logger });
    this.#path = resolve(path);
    this.#lock = lock;
  }

  /**
   * Writes the files of the given registries where they differ, and restores the previous files of all other registries.
   *
   * @throws HostsConfigError
   */
  async configure(
    wanted: readonly RegistryHosts[],
    options: ConfigureOptions,
    signal: AbortSignal,
  ): Promise<HostsReport> {
    await this.#planner.warnOfSpegel(this.#path);
    return await this.#run(wanted, options, signal);
  }

  /**
   * Restores all previous files, and removes the folders that were created.
   *
   * @throws HostsConfigError
   */
  async cleanup(signal: AbortSignal): Promise<HostsReport> {
    return await this.#run(undefined, { prependExisting: false }, signal);
  }

  /**
   * Creates the folder of all registries if it is missing.
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
          // ENOENT: another process removed the folder itself.
          if (!(error instanceof ChangedMeanwhileError) && !hasCode(error, 'ENOENT')) throw error;
          if (attempt < MAX_ATTEMPTS) continue;
          throw new HostsConfigError(`${this.#path}: another process keeps writing there`, {
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
    // Plan without the lock first, because taking the lock already writes a file.
    const root = await this.#root(wanted === undefined);
    if (root === undefined) return;
    if (isEmpty(await this.#planner.plan(root, wanted, options))) return;
    const lock = await lockFolder(root, this.#lock, signal);
    try {
      await this.#apply(root, await this.#planner.plan(root, wanted, options), report);
    } finally {
      await lock[Symbol.asyncDispose]();
    }
  }

  async #apply(
    root: string,
    { changes, leftovers, removesRoot }: HostsPlan,
    report: { written: string[]; restored: string[] },
  ): Promise<void> {
    for (const path of leftovers) await discard(this.#files, path);
    try {
      for (const change of changes) await change.prepare();
    } catch (error) {
      await this.#abandon(changes);
      throw error;
    }
    let firstError: unknown;
    for (const [index, change] of changes.entries()) {
      try {
        await change.commit();
      } catch (error) {
        // Restores are independent: continue with the others when one fails.
        const isRestore = change.action !== 'written';
        await this.#abandon(isRestore ? [change] : changes.slice(index));
        if (!isRestore) throw error;
        firstError ??= error;
        continue;
      }
      this.#note(change, report);
    }
    if (firstError !== undefined) throw firstError as Error;
    if (removesRoot) await removeRoot(this.#files, root);
  }

  /** Path of the folder without symbolic links; undefined when there is nothing to clean up. */
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

  async #abandon(changes: readonly FolderChange[]): Promise<void> {
    for (const change of changes) {
      // The next run removes what stays. The caller reports the first error, not this one.
      await change.abandon().catch((error: unknown) => {
        this.#logger.warn({ err: error }, 'temporary files could not be removed');
      });
    }
  }

  #note({ action, folder }: FolderChange, report: { written: string[]; restored: string[] }): void {
    const path = join(folder.path, HOSTS_TOML);
    const { current } = folder;
    if (current?.origin === 'edited') {
      const kept = action === 'written' ? join(folder.path, BACKUP) : path;
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
      this.#logger.info({ path }, 'previous configuration restored');
    }
  }
}
