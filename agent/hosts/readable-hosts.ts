import { INSTEAD_OF_BRACKETS, isBracketed } from './containerd-dialect.ts';
import { isAtLeast, parseContainerdVersion } from './containerd-version.ts';
import type { HostsConfigurator, HostsReport } from './hosts-configurator.ts';
import { HostsConfigError } from './hosts-error.ts';
import type { ConfigureOptions } from './hosts-plan.ts';
import type { RegistryHosts } from './hosts-toml.ts';

export interface ReadableConfiguratorComponents {
  readonly configurator: Pick<HostsConfigurator, 'configure' | 'cleanup'>;
  /** Asks containerd for its version. Called only when it matters. Rejects when containerd does not answer. */
  readonly version: (signal: AbortSignal) => Promise<string>;
}

/**
 * A {@link HostsConfigurator} that writes only what this node's containerd can read. Before 2.0 containerd ignores every
 * file with a table for an IPv6 address: neither the mirror nor the hosts of the user are asked.
 */
export class ReadableConfigurator implements Pick<HostsConfigurator, 'configure' | 'cleanup'> {
  readonly #configurator: ReadableConfiguratorComponents['configurator'];
  readonly #version: ReadableConfiguratorComponents['version'];

  constructor({ configurator, version }: ReadableConfiguratorComponents) {
    this.#configurator = configurator;
    this.#version = version;
  }

  /** @throws HostsConfigError, also when containerd cannot read the files or does not say whether it can */
  async configure(
    wanted: readonly RegistryHosts[],
    options: ConfigureOptions,
    signal: AbortSignal,
  ): Promise<HostsReport> {
    const bracketed = wanted.flatMap(({ file }) => file.hosts).find(({ url }) => isBracketed(url));
    if (bracketed !== undefined) await this.#check(bracketed.url, signal);
    return await this.#configurator.configure(wanted, options, signal);
  }

  /** @throws HostsConfigError */
  async cleanup(signal: AbortSignal): Promise<HostsReport> {
    return await this.#configurator.cleanup(signal);
  }

  async #check(url: string, signal: AbortSignal): Promise<void> {
    let version: string;
    try {
      version = await this.#version(signal);
    } catch (error) {
      signal.throwIfAborted();
      const why = error instanceof Error ? error.message : String(error);
      throw new HostsConfigError(
        `${url}: containerd before 2.0 ignores a hosts.toml with an IPv6 address, and this one does not say its version (${why}); start it or give --containerd-sock, or do without the address: ${INSTEAD_OF_BRACKETS}`,
        { cause: error },
      );
    }
    const parsed = parseContainerdVersion(version);
    // A version in another form is that of a development build, which is newer.
    if (parsed === undefined || isAtLeast(parsed, [2, 0])) return;
    throw new HostsConfigError(
      `${url}: containerd ${version} ignores a hosts.toml with an IPv6 address; ${INSTEAD_OF_BRACKETS}`,
    );
  }
}
