import { parseArgs } from 'node:util';

import { SUITES, type Suite } from '../../harness/containerd-versions.ts';
import { parseLinkRates, type LinkRates } from '../fan-out/options.ts';
import { choose, whole } from '../support/options.ts';

/** The figures in the order in which they are taken. */
const FIGURES = ['questions', 'hops', 'memory'] as const;

/** The name of a figure. */
export type PartFigure = (typeof FIGURES)[number];

/** The options of the command line. */
export interface PartsOptions {
  readonly figures: readonly PartFigure[];
  readonly suite: Suite;
  /** Questions a second, for how long, and who asks them. */
  readonly rate: number;
  readonly seconds: number;
  readonly hosts: number;
  /** Peers on each of these hosts. */
  readonly peers: number;
  /** Nodes of the chain. */
  readonly nodes: number;
  readonly links: readonly LinkRates[];
  readonly rounds: number;
  /** Followers of each blob, and how many of them are slow in the second case. */
  readonly followers: number;
  readonly slow: number;
}

/** The help text. */
export const PARTS_USAGE = `node e2e/bench/fan-out-parts.bench.ts [OPTION]...
  --only FIGURE,...  of ${FIGURES.join(', ')}; default: all
  --suite SUITE      whose containerd: ${SUITES.join(', ')} (the newest, ${SUITES.at(-1) ?? ''})
  --rate N           questions: asked in each second (1000)
  --seconds N        questions: how long each kind is asked; downloads of hops and memory take about so long (10)
  --hosts N          questions: processes that ask, each on a machine of its own (4)
  --peers N          questions: peers in each of them (4)
  --nodes N          hops: nodes of the chain (4)
  --links C/U,...    hops: Mbit/s of each node and of the registry (100/50,50/50,400/200,200/200)
  --rounds N         hops: downloads at each rate (3)
  --followers N      memory: of each of three blobs (8)
  --slow N           memory: of these, that read a quarter of the rate (4)
`;

/**
 * Reads the command line.
 *
 * @throws Error that names the fault
 */
export function parsePartsOptions(words: readonly string[]): PartsOptions {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...words],
    options: {
      only: { ...text, default: FIGURES.join(',') },
      suite: { ...text, default: SUITES.at(-1) ?? '' },
      rate: { ...text, default: '1000' },
      seconds: { ...text, default: '10' },
      hosts: { ...text, default: '4' },
      peers: { ...text, default: '4' },
      nodes: { ...text, default: '4' },
      links: { ...text, default: '100/50,50/50,400/200,200/200' },
      rounds: { ...text, default: '3' },
      followers: { ...text, default: '8' },
      slow: { ...text, default: '4' },
    },
  });
  const [suite] = choose(SUITES, values.suite);
  if (suite === undefined) throw new Error(`no containerd of ${values.suite}`);
  return {
    figures: choose(FIGURES, values.only),
    suite,
    rate: whole(values.rate),
    seconds: whole(values.seconds),
    hosts: whole(values.hosts),
    peers: whole(values.peers),
    nodes: whole(values.nodes),
    links: values.links.split(',').map(parseLinkRates),
    rounds: whole(values.rounds),
    followers: whole(values.followers),
    slow: whole(values.slow),
  };
}
