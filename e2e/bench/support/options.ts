import { parseArgs } from 'node:util';

/** The figures in the order in which they are taken. */
const FIGURES = [
  'naive',
  'place',
  'idle',
  'head',
  'stream',
  'memory',
  'spegel',
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
  readonly simulatedKeys: number;
  readonly simulatedProviders: number;
  readonly simulatedHours: number;
  readonly simulatedWarm: boolean;
  readonly simulatedLookups: number;
  readonly simulatedMinutes: number;
  readonly joinNodes: readonly number[];
  readonly joinToldOfAll: boolean;
  readonly joinSpreadSeconds: number;
  readonly joinRestart: boolean;
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
  --simulated-keys N         keys of each of the providers there (1000)
  --simulated-providers N    nodes with so many keys, the others have two (10)
  --simulated-hours N        virtual hours with 1 % of the nodes replaced an hour (0)
  --simulated-start join|warm  whether the nodes join there, or are connected at once (join)
  --simulated-lookups N      keys that are looked up there at a time (500)
  --simulated-minutes N      virtual minutes in which traffic is counted there (15)
  --join-nodes N,...         sizes of the networks that are joined (50)
  --join-bootstrap one|all   addresses that each agent is told there (one)
  --join-spread SECONDS      in which these agents start, 0 for all at once (60)
  --join-restart no|yes      whether all are killed at the end and started again in one second (no)
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
      'simulated-keys': { ...text, default: '1000' },
      'simulated-providers': { ...text, default: '10' },
      'simulated-hours': { ...text, default: '0' },
      'simulated-start': { ...text, default: 'join' },
      'simulated-lookups': { ...text, default: '500' },
      'simulated-minutes': { ...text, default: '15' },
      'join-nodes': { ...text, default: '50' },
      'join-bootstrap': { ...text, default: 'one' },
      'join-spread': { ...text, default: '60' },
      'join-restart': { ...text, default: 'no' },
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
    simulatedKeys: whole(values['simulated-keys']),
    simulatedProviders: whole(values['simulated-providers']),
    simulatedHours: values['simulated-hours'] === '0' ? 0 : whole(values['simulated-hours']),
    simulatedWarm: choose(['join', 'warm'], values['simulated-start'])[0] === 'warm',
    simulatedLookups: whole(values['simulated-lookups']),
    simulatedMinutes: whole(values['simulated-minutes']),
    joinNodes: values['join-nodes'].split(',').map(whole),
    joinToldOfAll: choose(['one', 'all'], values['join-bootstrap'])[0] === 'all',
    joinSpreadSeconds: values['join-spread'] === '0' ? 0 : whole(values['join-spread']),
    joinRestart: choose(['no', 'yes'], values['join-restart'])[0] === 'yes',
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
