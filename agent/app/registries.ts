import type { Logger } from 'pino';

import type { Credentials } from '../basic-auth/credentials.ts';
import type { CONFIGURATION_OPTIONS } from '../config/hosts-options.ts';
import type { OptionValues, RegistryConfig } from '../config/options.ts';
import { UsageError } from '../config/resolve.ts';
import type { HostEntry, RegistryHosts } from '../hosts/hosts-toml.ts';
import { RegistriesError, formatFinding, type Finding } from '../hosts/registries/finding.ts';
import { sharedRegistries, type Registries } from '../hosts/registries/registries.ts';
import { findRegistriesFile, readRegistriesFile } from '../hosts/registries/registries-file.ts';
import { registryHosts } from '../hosts/registries/registry-hosts.ts';
import { mirrorEntries, sharedRegistries as givenRegistries } from './hosts-options.ts';

/** Maximum number of findings that are logged; `check-registries` prints all of them. */
const MAX_LOGGED = 20;

/** A registries.yaml and its content. */
interface LoadedRegistries {
  readonly path: string;
  /** Whether it is that of this node's k3s or RKE2, rather than one that the options name. */
  readonly found: boolean;
  readonly registries: Registries;
  /** As it was read; not kept by the subcommands. */
  readonly text?: string;
}

/** The registries whose images are shared. */
export interface SharedRegistries {
  /** Empty for all registries. */
  readonly names: readonly string[];
  /** The registries.yaml that the names come from; absent when they come from the options. */
  readonly file?: LoadedRegistries;
}

/**
 * The registries whose images are shared: those of the options, else those that a registries.yaml mirrors.
 *
 * @throws UsageError when both are given; RegistriesError for a file that names no registries
 */
export async function registriesToShare(
  config: Pick<RegistryConfig, 'mirrored-registries' | 'registries-yaml'>,
  logger: Logger,
): Promise<SharedRegistries> {
  const path = registriesFile(config);
  if (path === undefined) return { names: givenRegistries(config) };
  const { registries, text } = await loadRegistries(path, { strict: false }, logger);
  const file = { path, found: config['registries-yaml'] === 'auto', registries, text };
  const shared = sharedRegistries(registries);
  if (shared.length > 0) {
    logger.info(
      { file: path, registries: shared },
      'sharing the registries that registries.yaml mirrors',
    );
    return { names: shared.includes('*') ? [] : shared, file };
  }
  // A file that the options name must name registries. That of k3s may be there for credentials only.
  const message = 'it mirrors no registry, so it does not say what is shared';
  if (!file.found) throw new RegistriesError(`${path}: ${message}`);
  logger.warn({ file: path }, `registries.yaml: ${message}; all registries are`);
  return { names: [], file };
}

/**
 * The `hosts.toml` files that a registries.yaml asks for.
 *
 * @param credentials what containerd is to send to the mirrors; default: none
 * @returns undefined without a registries.yaml
 *
 * @throws UsageError for options that contradict each other; RegistriesError for a file with errors
 */
export async function hostsOfRegistries(
  config: OptionValues<typeof CONFIGURATION_OPTIONS>,
  logger: Logger,
  credentials?: Credentials,
): Promise<readonly RegistryHosts[] | undefined> {
  const path = registriesFile(config);
  if (path === undefined) {
    if (!config['disable-default-registry-endpoint']) return undefined;
    throw new UsageError('--disable-default-registry-endpoint needs --registries-yaml');
  }
  const mirrors = mirrorEntries(config, credentials);
  const { registries } = await loadRegistries(path, { strict: true }, logger);
  return hostsOf({ path, found: false, registries }, { ...config, mirrors }, logger);
}

/**
 * The `hosts.toml` files that a registries.yaml asks for. Logs what `hosts.toml` cannot express, unless the file is
 * that of k3s.
 */
export function hostsOf(
  { path, found, registries }: LoadedRegistries,
  config: Pick<RegistryConfig, 'disable-default-registry-endpoint'> & {
    readonly mirrors: readonly HostEntry[];
  },
  logger: Logger,
): readonly RegistryHosts[] {
  const { hosts, warnings } = registryHosts(registries, {
    mirrors: config.mirrors,
    defaultEndpoint: !config['disable-default-registry-endpoint'],
  });
  if (!found) {
    for (const warning of warnings) logger.warn({ file: path }, `registries.yaml: ${warning}`);
  }
  return hosts;
}

/** The file that the options name; for `auto`, that of this node's k3s or RKE2, if there is one. */
function registriesFile(
  config: Pick<RegistryConfig, 'mirrored-registries' | 'registries-yaml'>,
): string | undefined {
  const option = config['registries-yaml'];
  if (option === '' || option === 'off') return undefined;
  const given = config['mirrored-registries'].length > 0;
  if (option === 'auto') return given ? undefined : findRegistriesFile();
  if (!given) return option;
  throw new UsageError(
    '--registries-yaml and --mirrored-registries: only one of them can be given',
  );
}

/**
 * Reads a registries.yaml, and logs its warnings.
 *
 * @param strict whether every error counts, rather than only those that leave the registries unclear
 * @throws RegistriesError naming file, line and column of the first error
 */
async function loadRegistries(
  file: string,
  { strict }: { strict: boolean },
  logger: Logger,
): Promise<{ readonly registries: Registries; readonly text: string }> {
  const text = readRegistriesFile(file);
  return { registries: await usableRegistries(file, text, { strict }, logger), text };
}

/**
 * Parses the text of a registries.yaml, and logs its warnings.
 *
 * @param strict see {@link loadRegistries}
 * @throws RegistriesError naming file, line and column of the first error
 */
export async function usableRegistries(
  file: string,
  text: string,
  { strict }: { strict: boolean },
  logger: Logger,
): Promise<Registries> {
  // Most agents have no such file, and do without the parser.
  const [{ parseRegistries }, { checkFiles }] = await Promise.all([
    import('../hosts/registries/parse-registries.ts'),
    import('../hosts/registries/check-files.ts'),
  ]);
  const { registries, findings } = parseRegistries(text, strict ? checkFiles : undefined);
  const counts = ({ severity, fatal }: Finding): boolean =>
    severity === 'error' && (strict || fatal);
  const [first, ...more] = findings.filter(counts);
  if (first !== undefined) {
    const rest = more.length === 0 ? '' : ` (and ${more.length} more)`;
    throw new RegistriesError(
      `${formatFinding(file, first)}${rest}; "peerglass check-registries ${file}" says how it would be right`,
    );
  }
  for (const { line, column, message } of findings.slice(0, MAX_LOGGED)) {
    logger.warn({ file, line, column }, `registries.yaml: ${message}`);
  }
  return registries;
}
