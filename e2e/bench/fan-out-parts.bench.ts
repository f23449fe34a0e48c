/**
 * Prints figures of the parts of fan-out: how long a question to an arbiter takes, how long a byte takes from one node to the
 * next, and the memory of a node that many follow. `node e2e/bench/fan-out-parts.bench.ts --only questions`. Needs root on
 * Debian: real containerd daemons and agents, each in a network namespace. To be compared within one run.
 */
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';

import { preflight } from '../harness/preflight.ts';
import {
  PARTS_USAGE,
  parsePartsOptions,
  type PartFigure,
  type PartsOptions,
} from './fan-out-parts/options.ts';
import { measureFollowedMemory } from './fan-out-parts/memory.ts';
import { measureHops } from './fan-out-parts/hops.ts';
import { measureQuestions } from './fan-out-parts/questions.ts';
import { PROGRAM } from './support/agent.ts';
import { loadText, Report } from './support/report.ts';

const MEASURES: Readonly<
  Record<PartFigure, (report: Report, options: PartsOptions) => Promise<void>>
> = {
  questions: measureQuestions,
  hops: measureHops,
  memory: measureFollowedMemory,
};

const report = new Report();
let options: PartsOptions;
try {
  options = parsePartsOptions(process.argv.slice(2));
  if (!existsSync(PROGRAM)) throw new Error(`there is no ${PROGRAM}; run scripts/build`);
  const machine = await preflight();
  if (!machine.ok) throw new Error(`containerd nodes cannot run here: ${machine.reason}`);
} catch (error) {
  process.stderr.write(`${String(error)}\n\n${PARTS_USAGE}`);
  process.exit(2);
}
const before = loadText();
for (const figure of options.figures) {
  try {
    await MEASURES[figure](report, options);
  } catch (error) {
    // The other figures are worth having.
    process.stderr.write(`${figure}: ${String(error)}: ${String((error as Error).cause)}\n`);
    process.exitCode = 1;
  }
}
process.stdout.write(
  `\n${cpus().length} cores, load average ${before} before and ${loadText()} after.` +
    ' Others may have used the machine: compare within this run only.\n\n',
);
process.stdout.write(report.table());
report.writeJson();
process.exit();
