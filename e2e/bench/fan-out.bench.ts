/**
 * A fresh image on all nodes at once: how long until the last of them has it, and how often upstream sends it. Needs
 * root on Debian: real containerd daemons and agents, each in a network namespace with a link of its own, and
 * docker-registry behind another. `node e2e/bench/fan-out.bench.ts --nodes 8 --svg FILE`. To be compared within one run.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';

import { preflight } from '../harness/preflight.ts';
import { knowsFanOut } from './fan-out/agents.ts';
import { measureCase, needsFanOut } from './fan-out/cases.ts';
import { drawCurves } from './fan-out/curves.ts';
import { figuresOf } from './fan-out/figures.ts';
import {
  FAN_OUT_USAGE,
  idealMs,
  imageName,
  linkName,
  parseFanOutOptions,
  type FanOutOptions,
  type ImageShape,
  type LinkRates,
} from './fan-out/options.ts';
import { seededRandom } from './fan-out/random.ts';
import { rowsOf, tableOf, writeRuns, type PlacedRun } from './fan-out/report.ts';
import { Topology } from './fan-out/topology.ts';
import { PROGRAM } from './support/agent.ts';
import { loadText, Report } from './support/report.ts';
import { Rounds } from './support/rounds.ts';

const report = new Report();
let options: FanOutOptions;
try {
  options = parseFanOutOptions(process.argv.slice(2));
  if (!existsSync(PROGRAM)) throw new Error(`there is no ${PROGRAM}; run scripts/build`);
  const machine = await preflight();
  if (!machine.ok) throw new Error(`containerd nodes cannot run here: ${machine.reason}`);
} catch (error) {
  process.stderr.write(`${String(error)}\n\n${FAN_OUT_USAGE}`);
  process.exit(2);
}
const loadBefore = loadText();
const hasFanOut = await knowsFanOut();
const cases = options.cases.filter((name) => hasFanOut || !needsFanOut(name));
if (cases.length < options.cases.length) report.progress('the agent has no option --fan-out');
const random = seededRandom(options.seed);
const runs: PlacedRun[] = [];
try {
  report.progress(`starting ${options.nodes} nodes`);
  await using topology = await Topology.open(options, hasFanOut);
  for (const links of options.links) {
    await topology.shape(links);
    for (const image of options.images) await compare(topology, links, image);
  }
} catch (error) {
  // What was measured before is worth having.
  process.stderr.write(`${String(error)}: ${String((error as Error).cause)}\n`);
  process.exitCode = 1;
}
const about =
  `${options.nodes} nodes, containerd of ${options.suite}, ${options.rounds} rounds, ${cpus().length} cores,` +
  ` load average ${loadBefore} before and ${loadText()} after`;
process.stdout.write(
  `\n${about}. Others may have used the machine: compare within this run only.\n\n`,
);
process.stdout.write(tableOf(rowsOf(runs)));
if (options.json !== undefined) writeRuns(options.json, { about, options }, runs);
if (options.svg !== undefined && runs.length > 0) {
  writeFileSync(
    options.svg,
    drawCurves(runs, `Share of ${options.nodes} nodes that have a fresh image`),
  );
}
process.exit();

/** All cases with one image over one kind of links. */
async function compare(topology: Topology, links: LinkRates, image: ImageShape): Promise<void> {
  const place = { links: linkName(links), image: imageName(image) };
  const rounds = new Map<string, number>();
  let aloneMs = idealMs(image, links);
  const subjects = cases.map((name) => ({
    name,
    measure: async () => {
      const faultAfterMs = aloneMs / 2;
      const run = await measureCase(topology, name, {
        image,
        links,
        options,
        faultAfterMs,
        random,
      });
      const round = rounds.get(name) ?? 0;
      rounds.set(name, round + 1);
      runs.push({ ...run, ...place, round });
      const figures = figuresOf(run);
      if (name === 'alone') aloneMs = (figures['last'] ?? NaN) * 1000;
      return figures;
    },
  }));
  await new Rounds().run(subjects, options.rounds, (said) => {
    report.progress(`${place.links}, ${place.image}: ${said}`);
  });
}
