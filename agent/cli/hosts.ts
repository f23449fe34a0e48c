import type { Logger } from 'pino';

import type { CONFIGURATION_OPTIONS } from '../config/hosts-options.ts';
import type { OptionValues, RegistryConfig } from '../config/options.ts';
import type { MirroredRegistry } from '../config/registry-names.ts';
import { UsageError } from '../config/resolve.ts';
import { nodeFileOperations } from '../hosts/file-operations.ts';
import { HostsConfigurator } from '../hosts/hosts-configurator.ts';
import { HostsKeeper } from '../hosts/hosts-keeper.ts';
import { DEFAULT_FOLDER, type HostEntry, type RegistryHosts } from '../hosts/hosts-toml.ts';
import type { Metrics } from '../metrics/metrics.ts';

/** What `configuration` and `registry --configure` go by. */
type MirrorConfig = OptionValues<typeof CONFIGURATION_OPTIONS>;

/** How long containerd waits for a connection to the mirror, as Spegel has it. */
const DIAL_TIMEOUT = '200ms';

/** The registries that are mirrored, for the sharing policy; none for all. */
export function sharedRegistries(
  config: Pick<MirrorConfig, 'mirrored-registries'>,
): readonly string[] {
  const names = config['mirrored-registries'];
  return names.includes(undefined)
    ? []
    : names.filter((name) => name !== undefined).map(({ registry }) => registry);
}

/**
 * The `hosts.toml` files that the options ask for.
 *
 * @throws UsageError without a mirror, or when a registry is given in two ways
 */
export function wantedHosts(
  config: Pick<MirrorConfig, 'mirrored-registries' | 'mirror-targets' | 'resolve-tags'>,
): RegistryHosts[] {
  const hosts = mirrorEntries(config);
  const given = config['mirrored-registries'];
  const all: readonly (MirroredRegistry | undefined)[] = given.length === 0 ? [undefined] : given;
  const wanted = new Map<string, RegistryHosts>();
  for (const each of all) {
    const { registry, server } = each ?? { registry: DEFAULT_FOLDER };
    const before = wanted.get(registry);
    if (before !== undefined && before.file.server !== server) {
      throw new UsageError(`--mirrored-registries: ${registry} is given twice, in different ways`);
    }
    wanted.set(registry, { registry, file: { ...(server !== undefined && { server }), hosts } });
  }
  return [...wanted.values()];
}

/**
 * The mirrors as containerd is told of them.
 *
 * @throws UsageError without any
 */
export function mirrorEntries(
  config: Pick<MirrorConfig, 'mirror-targets' | 'resolve-tags'>,
): HostEntry[] {
  const targets = [...new Set(config['mirror-targets'])];
  if (targets.length === 0) {
    throw new UsageError('--mirror-targets is needed: where the mirror is, http://127.0.0.1:5000');
  }
  return targets.map((url) => ({
    url,
    capabilities: config['resolve-tags'] ? ['pull', 'resolve'] : ['pull'],
    dialTimeout: DIAL_TIMEOUT,
  }));
}

/** Makes the configurator of the folder that the options name. */
export function createConfigurator(
  config: Pick<MirrorConfig, 'containerd-registry-config-path'>,
  logger: Logger,
): HostsConfigurator {
  const path = config['containerd-registry-config-path'];
  if (path === '') throw new UsageError('--containerd-registry-config-path: no folder given');
  return new HostsConfigurator({ files: nodeFileOperations, logger }, { path });
}

/**
 * Configures containerd and keeps it so, when the options say so. Called when the mirror listens: a port that a file
 * names has to answer.
 *
 * @param port where the mirror listens
 * @param parts takes what is to be ended with the agent
 */
export function keepConfigured(
  config: RegistryConfig,
  { port, metrics, logger }: { port: number; metrics: Metrics; logger: Logger },
  parts: AsyncDisposableStack,
): void {
  if (!config.configure) return;
  const { host } = config['registry-addr'];
  const targets = config['mirror-targets'];
  const own = `http://${ownHost(host)}:${port}`;
  const keeper = new HostsKeeper(
    { configurator: createConfigurator(config, logger), metrics, logger },
    {
      path: config['containerd-registry-config-path'],
      wanted: wantedHosts({ ...config, 'mirror-targets': targets.length > 0 ? targets : [own] }),
      prependExisting: config['prepend-existing'],
    },
  );
  const stopping = new AbortController();
  const running = keeper.run(stopping.signal);
  parts.defer(async () => {
    stopping.abort();
    await running;
    if (config['configure-remove-on-exit']) await keeper.remove();
  });
}

/** Where containerd of this node reaches a listener. */
function ownHost(host: string): string {
  if (['', '0.0.0.0', '::'].includes(host)) return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}
