import type { OptionTable } from '../../agent/config/options.ts';
import { SUBCOMMANDS } from '../../agent/config/subcommands.ts';

/** One option of the agent, as a value of the chart. */
export interface OptionValue {
  /** Its name below `peerglass`. */
  readonly name: string;
  readonly flag: string;
  readonly option: OptionTable[string];
}

/** Subcommands whose options are values. */
const CONFIGURED = ['registry', 'configuration', 'cleanup', 'startup-taint'];

/** Subcommands whose options are not values, and why. */
const NOT_CONFIGURED: Readonly<Record<string, string>> = {
  'cleanup-wait': 'the hook after `helm uninstall` knows where to ask',
  doctor: '`helm test` tells it where the agent is',
  'check-registries': 'looks at a file, not at a cluster',
  version: 'for people',
};

/** Subcommands of which a pod is given what it shares with those above. */
const GIVEN = [...CONFIGURED, 'doctor'];

/** Options that are no values of their own, and why: the one place where that is said. */
export const NOT_VALUES: Readonly<Record<string, string>> = {
  'oci-layout': 'in a pod it is containerd whose content is shared',
  'registry-addr': 'from `service.registry.port`, which Services and probes need as well',
  'router-addr': 'from `service.router.port`, likewise',
  'metrics-addr': 'from `service.metrics.port`, likewise',
  'data-dir': 'from `spegel.persistence.path`, where the volume is mounted',
  'mirror-targets':
    'from `service.registry.hostPort` and `nodePort`, and `spegel.additionalMirrorTargets`',
  addr: 'from `service.cleanup.port`',
  'taint-key': 'from `peerglass.startupTaint.key`',
  'node-name': 'from the node of the pod',
  'service-account': 'from where the token is mounted',
};

/** Options that both charts have, below `spegel` as well. */
export const SPEGEL_VALUES: readonly string[] = [
  'logLevel',
  'mirroredRegistries',
  'mirrorResolveRetries',
  'mirrorResolveTimeout',
  'registryFilters',
  'containerdSock',
  'containerdNamespace',
  'containerdRegistryConfigPath',
  'containerdContentPath',
  'prependExisting',
  'resolveTags',
  'debugWebEnabled',
];

const TABLES: Readonly<Record<string, { readonly options: OptionTable }>> = SUBCOMMANDS;

/** `--log-level` is `logLevel`. */
function valueName(flag: string): string {
  return flag.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/**
 * The options that are values, each once, in the order of the agent's own table.
 *
 * @throws Error when a subcommand is neither configured nor known not to be
 */
export function optionValues(): OptionValue[] {
  const values = new Map<string, OptionValue>();
  for (const [subcommand, { options }] of Object.entries(TABLES)) {
    if (!CONFIGURED.includes(subcommand)) {
      if (subcommand in NOT_CONFIGURED) continue;
      throw new Error(`scripts/chart/option-values.ts does not say what ${subcommand} is`);
    }
    for (const [flag, option] of Object.entries(options)) {
      // `registry` comes first: what it says of an option that others have too is what counts.
      if (flag in NOT_VALUES || values.has(flag)) continue;
      values.set(flag, { name: valueName(flag), flag, option });
    }
  }
  return [...values.values()];
}

/** By subcommand and flag the name of the value, for the templates. */
export function flagTable(): Record<string, Record<string, string>> {
  const named = new Map(optionValues().map(({ flag, name }) => [flag, name]));
  return Object.fromEntries(
    Object.entries(TABLES)
      .map(([subcommand, { options }]): [string, Record<string, string>] => [
        subcommand,
        Object.fromEntries(
          Object.keys(options).flatMap((flag) => {
            const name = named.get(flag);
            return name === undefined ? [] : [[flag, name]];
          }),
        ),
      ])
      .filter(([subcommand]) => GIVEN.includes(subcommand)),
  );
}
