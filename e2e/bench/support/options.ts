import { parseArgs } from 'node:util';

/** The figures in the order in which they are taken. */
const FIGURES = [
  'naive',
  'place',
  'idle',
  'head',
  'stream',
  'memory',
  'steady',
  'records',
  'join',
  'simulation',
] as const;

/** The name of a figure. */
export type Figure = (typeof FIGURES)[number];

/** The options of the command line. */
export interface BenchOptions {
  readonly figures: readonly Figure[];
  readonly nodes: number;
  readonly keys: number;
  readonly rounds: number;
  readonly idleSeconds: number;
  readonly steadyNodes: readonly number[];
  readonly steadyKeys: number;
  readonly steadyRefreshSeconds: number;
  readonly simulatedNodes: readonly number[];
  readonly joinNodes: readonly number[];
  readonly joinToldOfAll: boolean;
  readonly joinSpreadSeconds: number;
}

/** The help text. */
export const USAGE = `node e2e/bench/directory.bench.ts [OPTION]...
  --only FIGURE,...          of ${FIGURES.join(', ')}; default: all
  --nodes N                  agents in the network (25)
  --keys N                   keys of the agent that starts (2000)
  --rounds N                 starts of it whose CPU is taken (2)
  --idle-seconds N           how long idleness is watched (60)
  --steady-nodes N,...       sizes of the networks that refresh (10,20,30)
  --steady-keys N            keys of each agent there (100)
  --steady-refresh SECONDS   between two refreshes of a record there (4)
  --simulated-nodes N,...    sizes of the simulated networks (100,1000,5000)
  --join-nodes N,...         sizes of the networks that are joined (50)
  --join-bootstrap one|all   addresses that each agent is told there (one)
  --join-spread SECONDS      in which these agents start, 0 for all at once (60)
`;

/**
 * Reads the command line.
 *
 * @throws Error that names the fault
 */
export function parseOptions(words: readonly string[]): BenchOptions {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    args: [...words],
    options: {
      only: { ...text, default: FIGURES.join(',') },
      nodes: { ...text, default: '25' },
      keys: { ...text, default: '2000' },
      rounds: { ...text, default: '2' },
      'idle-seconds': { ...text, default: '60' },
      'steady-nodes': { ...text, default: '10,20,30' },
      'steady-keys': { ...text, default: '100' },
      'steady-refresh': { ...text, default: '4' },
      'simulated-nodes': { ...text, default: '100,1000,5000' },
      'join-nodes': { ...text, default: '50' },
      'join-bootstrap': { ...text, default: 'one' },
      'join-spread': { ...text, default: '60' },
    },
  });
  return {
    figures: choose(FIGURES, values.only),
    nodes: whole(values.nodes),
    keys: whole(values.keys),
    rounds: whole(values.rounds),
    idleSeconds: whole(values['idle-seconds']),
    steadyNodes: values['steady-nodes'].split(',').map(whole),
    steadyKeys: whole(values['steady-keys']),
    steadyRefreshSeconds: whole(values['steady-refresh']),
    simulatedNodes: values['simulated-nodes'].split(',').map(whole),
    joinNodes: values['join-nodes'].split(',').map(whole),
    joinToldOfAll: choose(['one', 'all'], values['join-bootstrap'])[0] === 'all',
    joinSpreadSeconds: values['join-spread'] === '0' ? 0 : whole(values['join-spread']),
  };
}

/**
 * Those that a list with commas names, in their own order.
 *
 * @throws Error that names the unknown one
 */
export function choose<T extends string>(figures: readonly T[], list: string): readonly T[] {
  const wanted = list.split(',');
  const unknown = wanted.find((name) => !(figures as readonly string[]).includes(name));
  if (unknown !== undefined) throw new Error(`no figure ${unknown}`);
  return figures.filter((name) => wanted.includes(name));
}

/**
 * Reads a whole number above 0.
 *
 * @throws Error when it is none
 */
export function whole(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`"${text}" is no whole number above 0`);
  return Number(text);
}
