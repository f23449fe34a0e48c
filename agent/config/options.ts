import { ROUTING_OPTIONS } from './routing-options.ts';
import { MIRROR_OPTIONS } from './hosts-options.ts';
import { MEMBERSHIP_OPTIONS } from './membership-options.ts';
import { LISTENER_OPTIONS } from './listener-options.ts';
import { option, type OptionTable, type OptionValues } from './option.ts';
import { SHARING_OPTIONS } from './sharing-options.ts';
import { STORE_OPTIONS } from './store-options.ts';
import { FAN_OUT_OPTIONS } from './fan-out-options.ts';
import { TRANSFER_OPTIONS } from './transfer-options.ts';
import { UPSTREAM_OPTIONS } from './upstream-options.ts';
import { VALUE, choice } from './values.ts';

export { environmentName, isSwitch, type OptionTable, type OptionValues } from './option.ts';

/** Options that every subcommand takes. */
export const COMMON_OPTIONS = {
  'log-level': option({
    kind: choice('ERROR', 'WARN', 'INFO', 'DEBUG'),
    fallback: 'INFO',
    summary: 'lowest level of messages to log',
    details: 'docs/design/logging.md explains the levels.',
    spegel: true,
  }),
  'log-format': option({
    kind: choice('auto', 'text', 'json'),
    fallback: 'auto',
    summary: 'form of the log',
    details: '`auto`: text on a terminal, JSON lines otherwise.',
    spegel: false,
  }),
} as const;

/** How the agent configures containerd. */
const CONFIGURE_OPTIONS = {
  configure: option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'configure containerd, and keep it so',
    details:
      'As the subcommand `configuration`, once the mirror listens. The files are written again after another program has changed them, as k3s does at each start.',
    spegel: false,
  }),
  'configure-remove-on-exit': option({
    kind: VALUE.boolean,
    fallback: 'false',
    summary: 'restore the files of containerd at exit',
    details: 'As the subcommand `cleanup`, before the mirror stops listening.',
    spegel: false,
  }),
  ...MIRROR_OPTIONS,
} as const;

/** How the agent shuts down. */
const SHUTDOWN_OPTIONS = {
  'shutdown-delay': option({
    kind: VALUE.durationOrZero,
    fallback: '0s',
    summary: 'how long to serve on after SIGTERM',
    details:
      'The agent is not ready at once, but it still serves requests, until nothing routes requests to it any more. The chart sets `3s`: for that time a Service, and its node port, may still route to a pod that ends.',
    spegel: false,
  }),
  'shutdown-timeout': option({
    kind: VALUE.durationOrZero,
    fallback: '20s',
    summary: 'time for requests in flight at SIGTERM',
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
  ...MEMBERSHIP_OPTIONS,
  ...SHARING_OPTIONS,
  ...CONFIGURE_OPTIONS,
  ...TRANSFER_OPTIONS,
  ...FAN_OUT_OPTIONS,
  ...UPSTREAM_OPTIONS,
  ...SHUTDOWN_OPTIONS,
} as const;

/** The same options by section, in the order of the help and of the documentation. */
export const REGISTRY_SECTIONS: Readonly<Record<string, OptionTable>> = {
  Listeners: LISTENER_OPTIONS,
  'Content of this node': STORE_OPTIONS,
  'Content routing': ROUTING_OPTIONS,
  Membership: MEMBERSHIP_OPTIONS,
  Sharing: SHARING_OPTIONS,
  'Configuration of containerd': CONFIGURE_OPTIONS,
  Transfer: TRANSFER_OPTIONS,
  'Fresh images': FAN_OUT_OPTIONS,
  Upstream: UPSTREAM_OPTIONS,
  'Logging and shutdown': { ...COMMON_OPTIONS, ...SHUTDOWN_OPTIONS },
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
