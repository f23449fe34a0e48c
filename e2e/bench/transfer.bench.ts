/**
 * Prints figures of the transfer of content, beside nginx, docker-registry and a naive program:
 * `node e2e/bench/transfer.bench.ts --only serve,proxy`. Needs root on Debian: nodes with containerd, each in a network
 * namespace of its own on one bridge. To be compared with each other within one run only.
 */
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';

import { preflight } from '../harness/preflight.ts';
import { PROGRAM } from './support/agent.ts';
import { loadText, Report } from './support/report.ts';
import {
  parseTransferOptions,
  TRANSFER_USAGE,
  type TransferFigure,
  type TransferOptions,
} from './support/transfer-options.ts';
import { TransferStage } from './support/transfer-stage.ts';
import { measureUnderLoad } from './transfer/load.ts';
import { measureMemory } from './transfer/memory.ts';
import { measureChunks, measureChunksOverLinks, measurePull } from './transfer/pull.ts';
import { measureManifest, measureManifestOfPeer, measureMiss } from './transfer/requests.ts';
import { measureStart } from './transfer/start.ts';
import {
  measureManyClients,
  measureProxying,
  measureServing,
  measureWholeProxying,
} from './transfer/throughput.ts';

const MEASURES: Readonly<
  Record<
    TransferFigure,
    (stage: TransferStage, report: Report, options: TransferOptions) => Promise<void>
  >
> = {
  start: measureStart,
  serve: measureServing,
  serve64: measureManyClients,
  proxy: measureProxying,
  'proxy-whole': measureWholeProxying,
  manifest: measureManifest,
  'manifest-peer': measureManifestOfPeer,
  miss: measureMiss,
  load: measureUnderLoad,
  memory: measureMemory,
  pull: measurePull,
  chunks: measureChunks,
  'chunks-links': measureChunksOverLinks,
};

const report = new Report();
let options: TransferOptions;
try {
  options = parseTransferOptions(process.argv.slice(2));
  if (!existsSync(PROGRAM)) throw new Error(`there is no ${PROGRAM}; run scripts/build`);
  const machine = await preflight();
  if (!machine.ok) throw new Error(`containerd nodes cannot run here: ${machine.reason}`);
} catch (error) {
  process.stderr.write(`${String(error)}\n\n${TRANSFER_USAGE}`);
  process.exit(2);
}
const before = loadText();
try {
  report.progress('starting containerd nodes');
  await using stage = await TransferStage.open(options.profile);
  for (const figure of options.figures) {
    try {
      await MEASURES[figure](stage, report, options);
    } catch (error) {
      // The other figures are worth having.
      complain(`${figure}: `, error);
    }
  }
} catch (error) {
  complain('', error);
}
process.stdout.write(
  `\n${cpus().length} cores, load average ${before} before and ${loadText()} after. Medians of ${options.rounds} rounds;` +
    ' of ratios, the median of the ratios of the rounds. Others may have used the machine: compare within this run only.\n\n',
);
process.stdout.write(report.table());
report.writeJson();
process.exit();

function complain(what: string, error: unknown): void {
  process.stderr.write(`${what}${String(error)}: ${String((error as Error).cause)}\n`);
  process.exitCode = 1;
}
