/**
 * Prints figures of content routing: `node e2e/bench/directory.bench.ts --only place,head`.
 * Needs no root and no containerd: the agents are processes on loopback addresses of their own, over OCI image
 * layouts. To be compared with each other within one run only.
 */
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';

import { measureHead } from './figures/head.ts';
import { measureIdle, measureMemory } from './figures/idle.ts';
import { measureNaive } from './figures/naive.ts';
import { measureJoin } from './figures/join.ts';
import { measureLost, measurePlacement } from './figures/place.ts';
import { measureRecords } from './figures/records.ts';
import { measureSimulation } from './figures/simulation.ts';
import { measureSpegel } from './figures/spegel.ts';
import { measureSteady } from './figures/steady.ts';
import { measureWhileStreaming } from './figures/stream.ts';
import { PROGRAM } from './support/agent.ts';
import { parseOptions, USAGE, type BenchOptions, type Figure } from './support/options.ts';
import { loadText, Report } from './support/report.ts';
import { Stage } from './support/stage.ts';

/** Figures that are taken of one and the same network. */
const ON_STAGE: readonly Figure[] = ['place', 'idle', 'head', 'stream', 'memory'];

const report = new Report();
let options: BenchOptions;
try {
  options = parseOptions(process.argv.slice(2));
  const needsBundle = options.figures.some((figure) => figure !== 'simulation');
  if (needsBundle && !existsSync(PROGRAM))
    throw new Error(`there is no ${PROGRAM}; run scripts/build`);
} catch (error) {
  process.stderr.write(`${String(error)}\n\n${USAGE}`);
  process.exit(2);
}
const before = loadText();
try {
  await run(options);
} catch (error) {
  // The figures that were taken until then are worth having.
  process.stderr.write(`${String(error)}: ${String((error as Error).cause)}\n`);
  process.exitCode = 1;
}
process.stdout.write(
  `\n${cpus().length} cores, load average ${before} before and ${loadText()} after. Networks of ${options.nodes} agents, unless said.` +
    ' Others may have used the machine: compare within this run only.\n\n',
);
process.stdout.write(report.table());
report.writeJson();
process.exit();

async function run({
  figures,
  nodes,
  keys,
  rounds,
  idleSeconds,
  ...rest
}: BenchOptions): Promise<void> {
  if (figures.includes('naive')) await measureNaive(report, { nodes });
  if (figures.some((figure) => ON_STAGE.includes(figure))) {
    report.progress(`starting ${nodes - 1} agents`);
    await using stage = await Stage.open(nodes, keys);
    if (figures.includes('place')) await measurePlacement(stage, report, { rounds });
    else await startHolder(stage);
    await stage.connected();
    await stage.settled(report);
    if (figures.includes('idle')) await measureIdle(stage, report, { seconds: idleSeconds });
    if (figures.includes('head')) await measureHead(stage, report);
    if (figures.includes('stream')) await measureWhileStreaming(stage, report);
    if (figures.includes('memory')) await measureMemory(stage, report);
    if (figures.includes('place')) await measureLost(stage, report);
  }
  if (figures.includes('spegel')) await measureSpegel(report, { nodes, keys, rounds });
  if (figures.includes('steady')) {
    const { steadyNodes, steadyKeys, steadyRefreshSeconds } = rest;
    const init = { sizes: steadyNodes, keys: steadyKeys, refreshSeconds: steadyRefreshSeconds };
    await measureSteady(report, init);
  }
  if (figures.includes('simulation')) {
    await measureSimulation(report, {
      sizes: rest.simulatedNodes,
      keys: rest.simulatedKeys,
      providers: rest.simulatedProviders,
      hours: rest.simulatedHours,
      isWarm: rest.simulatedWarm,
      lookups: rest.simulatedLookups,
      minutes: rest.simulatedMinutes,
      toldOfAll: rest.joinToldOfAll,
    });
  }
  if (figures.includes('join')) {
    for (const size of rest.joinNodes) {
      await measureJoin(report, {
        nodes: size,
        toldOfAll: rest.joinToldOfAll,
        spreadSeconds: rest.joinSpreadSeconds,
        isRestarted: rest.joinRestart,
      });
    }
  }
  if (figures.includes('records')) await measureRecords(report);
  report.addRatio(
    'CPU a key, plain kad-dht to ours',
    ['naive', 'CPU a key'],
    ['place', 'CPU a key'],
  );
  report.addRatio('CPU a miss, plain kad-dht to ours', ['naive', 'miss CPU'], ['head', 'miss CPU']);
  report.addRatio(
    'miss p50, plain kad-dht to ours with HTTP',
    ['naive', 'miss p50'],
    ['head', 'miss p50'],
  );
  report.addRatio(
    'hit p99, while streaming to before',
    ['stream', 'hit while streaming p99'],
    ['stream', 'hit before p99'],
  );
}

async function startHolder(stage: Stage): Promise<void> {
  await stage.prepareHolder();
  await stage.startHolder();
}
