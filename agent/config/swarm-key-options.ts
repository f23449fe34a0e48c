import { option } from './option.ts';
import { VALUE } from './values.ts';

/** Options of `swarm-key`. */
export const SWARM_KEY_OPTIONS = {
  from: option({
    kind: VALUE.text,
    fallback: '',
    summary: 'print the keys of this file, not a new one',
    details:
      'Prints what `--swarm-key-file` would read, in the form of libp2p: to give the key of a passphrase to a node of another program.',
    spegel: false,
    env: 'SWARM_KEY_FROM',
  }),
} as const;
