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
import { AUTHORITY_COPY } from './root-folder.ts';

export interface AuthorityConfiguratorComponents {
  readonly configurator: HostsConfigurator;
  readonly logger: Logger;
}

export interface AuthorityConfiguratorInit {
  /** containerd's `config_path`. */
  readonly path: string;
  /** Reads the PEM of the CA that signed the mirror's certificate; undefined when containerd needs no copy. */
  readonly read: (() => Promise<Buffer>) | undefined;
}

/**
 * A {@link HostsConfigurator} that also keeps a copy of the mirror's CA in the folder of all registries. containerd reads the
 * CA by its path on the node, and the files of a pod have no path there.
 */
export class AuthorityConfigurator implements Pick<HostsConfigurator, 'configure' | 'cleanup'> {
  readonly #configurator: HostsConfigurator;
  readonly #logger: Logger;
  readonly #files: FileOperations = nodeFileOperations;
  readonly #init: AuthorityConfiguratorInit;
  #warned = false;

  constructor(
    { configurator, logger }: AuthorityConfiguratorComponents,
    init: AuthorityConfiguratorInit,
  ) {
    this.#configurator = configurator;
    this.#logger = logger;
    this.#init = init;
  }

  /**
   * Writes the copy before any `hosts.toml` names it, and removes it after the last one that did. containerd fails every pull
   * whose `hosts.toml` names a missing CA file.
   *
   * @throws HostsConfigError, and any error of `read`
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
    const path = join(root, AUTHORITY_COPY);
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
    const path = join(this.#init.path, AUTHORITY_COPY);
    try {
      // Look first: on a read-only file system `unlink` fails even when the file is missing.
      if ((await entryAt(path)) === undefined) return;
      const namedBy = await this.#namedBy();
      if (namedBy !== undefined) {
        if (this.#warned) return;
        this.#warned = true;
        this.#logger.warn(
          { path, file: namedBy },
          'the authority of the mirror is kept: an edited hosts.toml names it, and containerd could not pull with that file otherwise',
        );
        return;
      }
      await this.#files.removeFile(path);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw asHostsError(error, `cannot remove ${path}`);
    }
  }

  /** Path of a `hosts.toml` that names the copy: one that was kept because it was edited. */
  async #namedBy(): Promise<string | undefined> {
    const { path: root } = this.#init;
    for (const name of await listFolder(root)) {
      const folder = await readRegistryFolder(root, name).catch((error: unknown) => {
        // Not a registry's folder, or a file that peerglass does not read.
        if (!(error instanceof HostsConfigError)) throw error;
      });
      if (folder?.current?.content.includes(AUTHORITY_COPY) === true) {
        return join(folder.path, HOSTS_TOML);
      }
    }
    return undefined;
  }
}
