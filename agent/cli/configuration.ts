import type { OptionValues } from '../config/options.ts';
import type { SUBCOMMANDS } from '../config/subcommands.ts';
import { createConfigurator, wantedHosts } from '../app/hosts-options.ts';
import { createLogger } from '../app/logger.ts';
import { hostsOfRegistries } from '../app/registries.ts';
import { readCredentials } from '../basic-auth/credentials.ts';
import { endSignal } from '../app/end-signal.ts';

/**
 * Writes the `hosts.toml` files that make containerd use the mirror.
 *
 * @throws UsageError, RegistriesError, BasicAuthError and HostsConfigError; their messages are for the user
 */
export async function runConfiguration(
  config: OptionValues<typeof SUBCOMMANDS.configuration.options>,
): Promise<void> {
  const logger = createLogger(config);
  const folder = config['basic-auth-dir'];
  const credentials = folder === '' ? undefined : await readCredentials(folder);
  const wanted =
    (await hostsOfRegistries(config, logger, credentials)) ?? wantedHosts(config, credentials);
  const { written, restored } = await createConfigurator(config, logger).configure(
    wanted,
    { prependExisting: config['prepend-existing'] },
    endSignal(),
  );
  logger.info(
    { written: written.length, restored: restored.length },
    written.length + restored.length === 0 ? 'containerd is configured already' : 'configured',
  );
}
