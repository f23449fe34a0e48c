import type { OptionTable } from '../../agent/config/options.ts';
import { SUBCOMMANDS } from '../../agent/config/subcommands.ts';

/** One option of the agent, as a value of the chart. */
export interface OptionValue {
  /** Name of the value below `peerglass`. */
  readonly name: string;
  readonly flag: string;
  readonly option: OptionTable[string];
}

/** Subcommands whose options are values. */
const CONFIGURED = ['registry', 'configuration', 'cleanup', 'startup-taint'];

/** Subcommands whose options are not values, and why. */
const NOT_CONFIGURED: Readonly<Record<string, string>> = {
  'cleanup-wait': 'the hook after `helm uninstall` knows where to ask',
  doctor: '`helm test` passes the address of the agent',
  'check-registries': 'looks at a file, not at a cluster',
  'swarm-key': 'the chart makes its key itself',
  version: 'for people',
};

/** Subcommands that get the options which they share with those above. */
const GIVEN = [...CONFIGURED, 'doctor'];

/** Options that are not values of their own, with the reason. */
export const NOT_VALUES: Readonly<Record<string, string>> = {
  'oci-layout': 'in a pod it is containerd whose content is shared',
  'registry-addr': 'from `service.registry.port`, which Services and probes need as well',
  'mirror-addr': 'from `service.registry.mirrorPort`, likewise',
  'router-addr': 'from `service.router.port`, likewise',
  'metrics-addr': 'from `service.metrics.port`, likewise',
  'node-ip': 'from the variable `NODE_IP`, the node of the pod, and `peerglass.extraNodeIPs`',
  'data-dir': 'from `spegel.persistence.path`, where the volume is mounted',
  'mirror-targets':
    'from `service.registry.hostPort`, `mirrorPort` and `nodePort`, and `spegel.additionalMirrorTargets`',
  addr: 'from `service.cleanup.port`',
  'log-format': 'a pod has no terminal, so its log is JSON',
  'taint-key': 'from `peerglass.startupTaint.key`',
  'node-name': 'from the node of the pod',
  'service-account': 'from where the token is mounted',
};

/** Options that are also values of Spegel's chart, below `spegel`. */
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

/**
 * Names below `spegel` that older versions of Spegel's chart had for values of today, and the options that they set. The
 * lists of further mirrors, which are no option, are in `peerglass.mirrorTargets` of the templates.
 */
export const FORMER_VALUES: Readonly<Record<string, string>> = {
  appendMirrors: 'prependExisting',
  registries: 'mirroredRegistries',
  mirrorRegistries: 'mirroredRegistries',
  resolveLatestTag: 'enableLatest',
};

/**
 * Values that the chart sets for options, by name, where the agent has another default. A cluster has tenants, so the names
 * of pulled images are resolved at their registries, but for those that have images for everyone only.
 */
export const CHART_DEFAULTS: Readonly<Record<string, readonly string[]>> = {
  share: [
    'registry.k8s.io=all',
    'docker.io/library=all',
    'public.ecr.aws=all',
    'mcr.microsoft.com=all',
    '*=auto',
  ],
};

const TABLES: Readonly<Record<string, { readonly options: OptionTable }>> = SUBCOMMANDS;

/** The name of the value of a flag: `logLevel` for `--log-level`. */
function valueName(flag: string): string {
  return flag.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

/**
 * The options that are values, each once, in the order of the agent's table.
 *
 * @throws Error for a subcommand that is not listed in this file
 */
export function optionValues(): OptionValue[] {
  const values = new Map<string, OptionValue>();
  for (const [subcommand, { options }] of Object.entries(TABLES)) {
    if (!CONFIGURED.includes(subcommand)) {
      if (subcommand in NOT_CONFIGURED) continue;
      throw new Error(`scripts/chart/option-values.ts does not list the subcommand ${subcommand}`);
    }
    for (const [flag, option] of Object.entries(options)) {
      // `registry` comes first, so that its description of a shared option is used.
      if (flag in NOT_VALUES || values.has(flag)) continue;
      values.set(flag, { name: valueName(flag), flag, option });
    }
  }
  return [...values.values()];
}

/** Names of the values by subcommand and flag, for the templates. */
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
