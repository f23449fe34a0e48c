import { DOCTOR_OPTIONS } from './doctor-options.ts';
import { CLEANUP_OPTIONS, CLEANUP_WAIT_OPTIONS, CONFIGURATION_OPTIONS } from './hosts-options.ts';
import { CHECK_REGISTRIES_OPTIONS } from './registries-options.ts';
import { SWARM_KEY_OPTIONS } from './swarm-key-options.ts';
import { STARTUP_TAINT_OPTIONS } from './taint-options.ts';
import {
  COMMON_OPTIONS,
  REGISTRY_OPTIONS,
  REGISTRY_SECTIONS,
  VERSION_OPTIONS,
  type OptionTable,
} from './options.ts';

/** Description of a subcommand. */
export interface Subcommand {
  /** One line that continues "to". */
  readonly summary: string;
  /** Placeholder of its operands, of which there may be any number. */
  readonly operands?: string;
  readonly options: OptionTable;
  /** The options by section, where there are many; each option is in one section. */
  readonly sections?: Readonly<Record<string, OptionTable>>;
}

/** Every subcommand with its options, in the order of the overview. */
export const SUBCOMMANDS = {
  registry: {
    summary: 'run the agent: mirror, DHT and metrics of this node',
    options: { ...REGISTRY_OPTIONS, ...COMMON_OPTIONS },
    sections: REGISTRY_SECTIONS,
  },
  configuration: {
    summary: 'configure the mirror in containerd: write hosts.toml files',
    options: { ...CONFIGURATION_OPTIONS, ...COMMON_OPTIONS },
  },
  cleanup: {
    summary: 'restore the configuration of containerd from before',
    options: { ...CLEANUP_OPTIONS, ...COMMON_OPTIONS },
  },
  'cleanup-wait': {
    summary: 'wait until the cleanups of all nodes are done',
    options: { ...CLEANUP_WAIT_OPTIONS, ...COMMON_OPTIONS },
  },
  'startup-taint': {
    summary: 'remove a taint of this node once its mirror is ready',
    options: { ...STARTUP_TAINT_OPTIONS, ...COMMON_OPTIONS },
  },
  'check-registries': {
    summary: 'report what is wrong with a registries.yaml of k3s',
    operands: '[FILE ...]',
    options: CHECK_REGISTRIES_OPTIONS,
  },
  doctor: {
    summary: 'report what is wrong on this node, or follow an image',
    options: DOCTOR_OPTIONS,
  },
  'swarm-key': {
    summary: 'print a new key for the nodes of a cluster',
    options: SWARM_KEY_OPTIONS,
  },
  version: { summary: 'print the version', options: VERSION_OPTIONS },
} as const satisfies Readonly<Record<string, Subcommand>>;
