import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Logger } from 'pino';

import { hasCode } from '../errors/system-error.ts';
import { entryAt, nodeFileOperations, type FileOperations } from './file-operations.ts';
import { temporaryName } from './folder-change.ts';
import type { HostsConfigurator, HostsReport } from './hosts-configurator.ts';
import type { ConfigureOptions } from './hosts-plan.ts';
import { HostsConfigError, asHostsError } from './hosts-error.ts';
import type { RegistryHosts } from './hosts-toml.ts';
import { HOSTS_TOML, listFolder, readRegistryFolder } from './registry-folder.ts';
import { AUTHORITY } from './root-folder.ts';

export interface AuthorityConfiguratorComponents {
  readonly configurator: HostsConfigurator;
  readonly logger: Logger;
}

export interface AuthorityConfiguratorInit {
  /** containerd's `config_path`. */
  readonly path: string;
  /** The authority of the mirror, PEM, as it is now; undefined for none. */
  readonly read: (() => Promise<Buffer>) | undefined;
}

/**
 * A {@link HostsConfigurator} that keeps a copy of the mirror's authority beside the folders of the registries: containerd reads
 * it by its path on the node, where the files of a pod are not.
 */
export class AuthorityConfigurator implements Pick<HostsConfigurator, 'configure' | 'cleanup'> {
  readonly #configurator: HostsConfigurator;
  readonly #logger: Logger;
  readonly #files: FileOperations = nodeFileOperations;
  readonly #init: AuthorityConfiguratorInit;
  #told = false;

  constructor(
    { configurator, logger }: AuthorityConfiguratorComponents,
    init: AuthorityConfiguratorInit,
  ) {
    this.#configurator = configurator;
    this.#logger = logger;
    this.#init = init;
  }

  /**
   * The copy is there before a file names it, and goes after the last one that did: containerd fails a pull whose file names
   * one that is not there.
   *
   * @throws HostsConfigError, and what `read` throws
   */
  async configure(
    wanted: readonly RegistryHosts[],
    options: ConfigureOptions,
    signal: AbortSignal,
  ): Promise<HostsReport> {
    const authority = await this.#init.read?.();
    if (authority !== undefined) await this.#put(authority);
    const report = await this.#configurator.configure(wanted, options, signal);
    if (authority === undefined) await this.#remove();
    return report;
  }

  /** @throws HostsConfigError */
  async cleanup(signal: AbortSignal): Promise<HostsReport> {
    const report = await this.#configurator.cleanup(signal);
    await this.#remove();
    return report;
  }

  async #put(authority: Buffer): Promise<void> {
    const root = await this.#configurator.makeFolder();
    const path = join(root, AUTHORITY);
    try {
      const before = await readFile(path).catch(() => undefined);
      if (before?.equals(authority) === true) return;
      const temporary = join(root, temporaryName());
      const owner = { mode: 0o644, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
      await this.#files.create(temporary, authority, owner);
      await this.#files.rename(temporary, path);
      await this.#files.sync(root);
    } catch (error) {
      throw asHostsError(error, `cannot write ${path}`);
    }
  }

  async #remove(): Promise<void> {
    const path = join(this.#init.path, AUTHORITY);
    try {
      // Asked first: on a read-only file system its removal fails even when it is not there.
      if ((await entryAt(path)) === undefined) return;
      const namedBy = await this.#namedBy();
      if (namedBy !== undefined) {
        if (this.#told) return;
        this.#told = true;
        this.#logger.warn(
          { path, file: namedBy },
          'the authority of the mirror is kept: a file that was edited names it, and containerd would pull nothing by that without it',
        );
        return;
      }
      await this.#files.removeFile(path);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw asHostsError(error, `cannot remove ${path}`);
    }
  }

  /** A `hosts.toml` that was kept because of an edit, and that names the copy. */
  async #namedBy(): Promise<string | undefined> {
    const { path: root } = this.#init;
    for (const name of await listFolder(root)) {
      const folder = await readRegistryFolder(root, name).catch((error: unknown) => {
        // A folder that is none, or whose file is none of ours.
        if (!(error instanceof HostsConfigError)) throw error;
      });
      if (folder?.current?.content.includes(AUTHORITY) === true) {
        return join(folder.path, HOSTS_TOML);
      }
    }
    return undefined;
  }
}
