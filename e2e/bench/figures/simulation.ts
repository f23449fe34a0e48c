import { fork } from 'node:child_process';
import { once } from 'node:events';

import type { SimulationInit, SimulationMessage } from '../programs/simulation.ts';
import type { Report } from '../support/report.ts';

const PROGRAM = new URL('../programs/simulation.ts', import.meta.url);
const INTERNING = new URL('../../../agent/testing/simulation/interning.ts', import.meta.url);
/** Memory that the heap of the simulation may take, in MiB, and the part of it for new objects. */
const HEAP = { all: 18_000, young: 64 };

/** Options of {@link measureSimulation}. */
export interface MeasureSimulationInit extends Omit<SimulationInit, 'nodes'> {
  readonly sizes: readonly number[];
}

/**
 * Content routing in networks of a size that no machine has: the real code of all nodes in one process, without sockets
 * and on a virtual clock. A few nodes have many keys, the others two each.
 */
export async function measureSimulation(
  report: Report,
  { sizes, ...rest }: MeasureSimulationInit,
): Promise<void> {
  for (const nodes of sizes) await simulate(report, { nodes, ...rest });
}

/** A process of its own: the memory of a network is freed with it, and its size is bounded by an option of Node.js. */
async function simulate(report: Report, init: SimulationInit): Promise<void> {
  const child = fork(PROGRAM, [JSON.stringify(init)], {
    execArgv: [
      `--max-old-space-size=${HEAP.all}`,
      `--max-semi-space-size=${HEAP.young}`,
      `--import=${INTERNING.href}`,
    ],
  });
  child.on('message', (message) => {
    const { what, value, unit = '', note } = message as SimulationMessage;
    if (value === undefined) report.progress(`simulation of ${init.nodes}: ${what}`);
    else report.add('simulation', `${init.nodes}: ${what}`, value, unit, note);
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`the simulation of ${init.nodes} nodes ended with ${code}`);
}
