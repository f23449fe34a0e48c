import { ROUTING_OPTIONS } from './routing-options.ts';
import { MIRROR_OPTIONS } from './hosts-options.ts';
import { LISTENER_OPTIONS } from './listener-options.ts';
import { option, type OptionTable, type OptionValues } from './option.ts';
import { SHARING_OPTIONS } from './sharing-options.ts';
import { STORE_OPTIONS } from './store-options.ts';
import { TRANSFER_OPTIONS } from './transfer-options.ts';
import { VALUE, choice } from './values.ts';

export { environmentName, type OptionTable, type OptionValues } from './option.ts';

/** Options that every subcommand takes. */
export const COMMON_OPTIONS = {
  'log-level': option({
    kind: choice('ERROR', 'WARN', 'INFO', 'DEBUG'),
    fallback: 'INFO',
    summary: 'least severe messages to log',
    details: 'docs/ARCHITECTURE.md, "What is logged", says what each level means.',
    spegel: true,
  }),
} as const;

/** How the agent tells containerd of itself. */
const CONFIGURE_OPTIONS = {
  configure: option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'configure containerd, and keep it so',
    details:
      'As the subcommand `configuration`, once the mirror listens, and again when somebody rewrites the files, as k3s does at each start.',
    spegel: false,
  }),
  'configure-remove-on-exit': option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'give containerd its files back at the end',
    details: 'As the subcommand `cleanup`, before the mirror stops to listen.',
    spegel: false,
  }),
  ...MIRROR_OPTIONS,
} as const;

/** How the agent ends. */
const SHUTDOWN_OPTIONS = {
  'shutdown-delay': option({
    kind: VALUE.durationOrZero,
    fallback: '0s',
    summary: 'take requests for so long after SIGTERM',
    details:
      'Not ready at once, but still serving, until everybody has heard of it who leads requests here. The chart has `3s`: so long a Service, and with it the node port, may still lead to a pod that ends.',
    spegel: false,
  }),
  'shutdown-timeout': option({
    kind: VALUE.durationOrZero,
    fallback: '20s',
    summary: 'for requests in flight at SIGTERM',
    details:
      'Counted from the end of `--shutdown-delay`. Keep both together below `terminationGracePeriodSeconds` (30 s).',
    spegel: false,
  }),
} as const;

/** Options of `registry`, the agent itself. */
export const REGISTRY_OPTIONS = {
  ...LISTENER_OPTIONS,
  ...STORE_OPTIONS,
  ...ROUTING_OPTIONS,
  ...SHARING_OPTIONS,
  ...CONFIGURE_OPTIONS,
  ...TRANSFER_OPTIONS,
  ...SHUTDOWN_OPTIONS,
} as const;

/** The same by what they are about, in the order in which people are told of them. */
export const REGISTRY_SECTIONS: Readonly<Record<string, OptionTable>> = {
  'Where it listens': LISTENER_OPTIONS,
  'What this node holds': STORE_OPTIONS,
  'Who has what': ROUTING_OPTIONS,
  'What is shared': SHARING_OPTIONS,
  'What containerd is told': CONFIGURE_OPTIONS,
  'How bytes go': TRANSFER_OPTIONS,
  'Log and end': { ...COMMON_OPTIONS, ...SHUTDOWN_OPTIONS },
};

/** Values of `registry`. */
export type RegistryConfig = OptionValues<typeof REGISTRY_OPTIONS> &
  OptionValues<typeof COMMON_OPTIONS>;

/** Options of `version`. */
export const VERSION_OPTIONS = {
  format: option({
    kind: choice('text', 'json'),
    fallback: 'text',
    summary: 'how to print it',
    spegel: true,
  }),
} as const;
