import { DOCTOR_OPTIONS } from './doctor-options.ts';
import { CLEANUP_OPTIONS, CLEANUP_WAIT_OPTIONS, CONFIGURATION_OPTIONS } from './hosts-options.ts';
import { CHECK_REGISTRIES_OPTIONS } from './registries-options.ts';
import { STARTUP_TAINT_OPTIONS } from './taint-options.ts';
import { COMMON_OPTIONS, REGISTRY_OPTIONS, VERSION_OPTIONS } from './options.ts';

/** Every subcommand with its options, in the order of the overview. A summary continues "to". */
export const SUBCOMMANDS = {
  registry: {
    summary: 'run the agent: mirror, directory and metrics of this node',
    options: { ...REGISTRY_OPTIONS, ...COMMON_OPTIONS },
  },
  configuration: {
    summary: 'tell containerd of the mirror: write its hosts.toml files',
    options: { ...CONFIGURATION_OPTIONS, ...COMMON_OPTIONS },
  },
  cleanup: {
    summary: 'give containerd back what it was told before',
    options: { ...CLEANUP_OPTIONS, ...COMMON_OPTIONS },
  },
  'cleanup-wait': {
    summary: 'wait until the cleanups of all nodes are done',
    options: { ...CLEANUP_WAIT_OPTIONS, ...COMMON_OPTIONS },
  },
  'startup-taint': {
    summary: 'take a taint off this node once its mirror is ready',
    options: { ...STARTUP_TAINT_OPTIONS, ...COMMON_OPTIONS },
  },
  'check-registries': {
    summary: 'say what is wrong with a registries.yaml of k3s',
    operand: 'FILE',
    options: CHECK_REGISTRIES_OPTIONS,
  },
  doctor: {
    summary: 'say what is wrong on this node, or follow an image',
    options: DOCTOR_OPTIONS,
  },
  version: { summary: 'print the version', options: VERSION_OPTIONS },
} as const;
