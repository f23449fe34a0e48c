import { parseArgs } from 'node:util';

import { choose, whole } from './options.ts';

/** The figures in the order in which they are taken. */
const FIGURES = [
  'start',
  'serve',
  'serve64',
  'proxy',
  'proxy-whole',
  'manifest',
  'manifest-peer',
  'miss',
  'load',
  'memory',
  'pull',
  'chunks',
  'chunks-links',
] as const;

/** The name of a figure. */
export type TransferFigure = (typeof FIGURES)[number];

/** The options of the command line. */
export interface TransferOptions {
  readonly figures: readonly TransferFigure[];
  readonly rounds: number;
  /** How long one measurement lasts, where that can be chosen. */
  readonly seconds: number;
  /** Folder for profiles of the agents. */
  readonly profile: string | undefined;
}

/** The help text. */
export const TRANSFER_USAGE = `node e2e/bench/transfer.bench.ts [OPTION]...
  --only FIGURE,...          of ${FIGURES.join(', ')}; default: all
  --rounds N                 each subject is measured so often, in turn with the others (5)
  --seconds N                one measurement of requests, or of many clients (4)
  --profile FOLDER           CPU profiles of the agents, which they slow down
`;

/**
 * Reads the command line.
 *
 * @throws Error that names the fault
 */
export function parseTransferOptions(words: readonly string[]): TransferOptions {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...words],
    options: {
      only: { ...text, default: FIGURES.join(',') },
      rounds: { ...text, default: '5' },
      seconds: { ...text, default: '4' },
      profile: text,
    },
  });
  return {
    figures: choose(FIGURES, values.only),
    rounds: whole(values.rounds),
    seconds: whole(values.seconds),
    profile: values.profile,
  };
}
