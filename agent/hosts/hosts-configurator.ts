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
import { HOSTS_TOML, SET_ASIDE } from './registry-folder.ts';

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
    await this.#planner.lookForSpegel(this.#path);
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
          if (!(error instanceof ChangedMeanwhileError) && !hasCode(error, 'ENOENT')) throw error;
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
    let kept: unknown;
    for (const [index, change] of changes.entries()) {
      try {
        await change.commit();
      } catch (error) {
        // What is given back stands for itself: one file that cannot be, is no reason to keep the others.
        const isAlone = change.action !== 'written';
        await this.#abandon(isAlone ? [change] : changes.slice(index));
        if (!isAlone) throw error;
        kept ??= error;
        continue;
      }
      this.#note(change, report);
    }
    if (kept !== undefined) throw kept as Error;
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
