import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { hasCode } from '../errors/system-error.ts';
import { nodeFileOperations, type FileOperations } from './file-operations.ts';
import { temporaryName } from './folder-change.ts';
import type { HostsConfigurator, HostsReport } from './hosts-configurator.ts';
import type { ConfigureOptions } from './hosts-plan.ts';
import { asHostsError } from './hosts-error.ts';
import type { RegistryHosts } from './hosts-toml.ts';
import { AUTHORITY } from './root-folder.ts';

export interface AuthorityConfiguratorComponents {
  readonly configurator: HostsConfigurator;
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
  readonly #files: FileOperations = nodeFileOperations;
  readonly #init: AuthorityConfiguratorInit;

  constructor({ configurator }: AuthorityConfiguratorComponents, init: AuthorityConfiguratorInit) {
    this.#configurator = configurator;
    this.#init = init;
  }

  /**
   * The copy is there before a file names it, and goes after the last one that did.
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
      await this.#files.removeFile(path);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw asHostsError(error, `cannot remove ${path}`);
    }
  }
}
