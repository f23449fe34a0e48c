import { DOCTOR_OPTIONS } from './doctor-options.ts';
import { CLEANUP_OPTIONS, CLEANUP_WAIT_OPTIONS, CONFIGURATION_OPTIONS } from './hosts-options.ts';
import { CHECK_REGISTRIES_OPTIONS } from './registries-options.ts';
import { STARTUP_TAINT_OPTIONS } from './taint-options.ts';
import {
  COMMON_OPTIONS,
  REGISTRY_OPTIONS,
  REGISTRY_SECTIONS,
  VERSION_OPTIONS,
  type OptionTable,
} from './options.ts';

/** What is known of a subcommand before it runs. */
export interface Subcommand {
  /** Continues "to". */
  readonly summary: string;
  /** The one word that it takes beside its options. */
  readonly operand?: string;
  readonly options: OptionTable;
  /** Where the options are many, what they are about: each is in one of these. */
  readonly sections?: Readonly<Record<string, OptionTable>>;
}

/** Every subcommand with its options, in the order of the overview. */
export const SUBCOMMANDS = {
  registry: {
    summary: 'run the agent: mirror, directory and metrics of this node',
    options: { ...REGISTRY_OPTIONS, ...COMMON_OPTIONS },
    sections: REGISTRY_SECTIONS,
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
} as const satisfies Readonly<Record<string, Subcommand>>;
