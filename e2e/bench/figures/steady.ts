import { setTimeout as sleep } from 'node:timers/promises';

import { waitFor } from '../../harness/wait.ts';
import { clearLayout, putSmallImage } from '../support/images.ts';
import { Network, statuses } from '../support/network.ts';
import { readSum } from '../support/prometheus.ts';
import type { Report } from '../support/report.ts';
import { sum } from '../support/samples.ts';
import {
  fitCosts,
  predict,
  workOf,
  type NetworkShape,
  type Work,
} from '../support/steady-model.ts';

/** Before the keys come and after they are gone: an agent takes less the longer it runs. */
const IDLE_SECONDS = 15;
/** Refreshes that are watched. */
const ROUNDS = 4;
const PLACED_WITHIN_MS = 60_000;
/** Keys of a network in which batches are small, so that their own cost shows. */
const SPARSE_KEYS = 5;

/** How the networks are made. */
export interface SteadyInit {
  readonly sizes: readonly number[];
  readonly keys: number;
  readonly refreshSeconds: number;
}

interface Measured {
  readonly shape: NetworkShape;
  /** What the agents counted themselves, each in a second. */
  readonly work: Work;
  /** CPU of each agent in milliseconds a second: in all, and at the end with nothing to refresh. */
  readonly cpu: number;
  readonly idle: number;
  /** The mean of idleness before and after, to compare the work with. */
  readonly meanIdle: number;
}

/**
 * The steady cost of refreshing records, measured in networks of several sizes that refresh often, and a model that
 * predicts it for larger ones.
 */
export async function measureSteady(report: Report, init: SteadyInit): Promise<void> {
  const { keys, refreshSeconds } = init;
  const measured: Measured[] = [];
  const sizes = init.sizes.toSorted((one, other) => one - other);
  for (const nodes of sizes) {
    const counts = nodes === sizes.at(-1) ? [SPARSE_KEYS, keys] : [keys];
    measured.push(...(await measureSize(report, nodes, counts, refreshSeconds)));
  }
  const costs = fitCosts(
    measured.map(({ work, cpu, meanIdle }) => ({ ...work, cpu, idle: meanIdle })),
    measured.map(({ shape: { nodes }, idle }) => ({ nodes, cpu: idle })),
  );
  report.add('steady', 'a record', costs.record, 'ms', 'CPU of sender and receiver together');
  report.add('steady', 'a batch of records', costs.batch, 'ms', 'beside its records');
  report.add('steady', 'idle, alone', costs.idle, 'ms/s');
  report.add('steady', 'idle, for each peer', costs.idlePerPeer, 'ms/s');
  for (const { shape, work, cpu, idle } of measured) {
    const { records, batches } = work;
    const note =
      `the model says ${predict(costs, shape).toFixed(1)}; idle ${idle.toFixed(1)}, ` +
      `${records.toFixed(0)} records in ${batches.toFixed(1)} batches/s`;
    report.add('steady', nameOf(shape), cpu, 'ms/s', note);
  }
  for (const nodes of [100, 1000, 5000]) {
    const shape = { nodes, keys: 1000, refreshSeconds: 900 };
    const { records, batches } = workOf(shape);
    const refresh = records * costs.record + batches * costs.batch;
    const note = `the model; ${refresh.toFixed(1)} of it for refreshing`;
    report.add('steady', nameOf(shape), predict(costs, shape), 'ms/s', note);
  }
}

function nameOf({ nodes, keys, refreshSeconds }: NetworkShape): string {
  return `${nodes} nodes x ${keys} keys every ${refreshSeconds} s`;
}

/** One network, idle at first, then with ever more keys. */
async function measureSize(
  report: Report,
  nodes: number,
  counts: readonly number[],
  refreshSeconds: number,
): Promise<Measured[]> {
  report.progress(`steady: starting ${nodes} agents`);
  const flags = [
    '--record-refresh',
    `${refreshSeconds}s`,
    '--record-validity',
    `${3 * refreshSeconds}s`,
  ];
  await using network = new Network(nodes, flags);
  await network.start();
  await network.settled();
  const cpuOver = async (seconds: number): Promise<number> => {
    const [before, started] = [await network.cpuMs(), performance.now()];
    await sleep(seconds * 1000);
    const elapsed = (performance.now() - started) / 1000;
    return ((await network.cpuMs()) - before) / elapsed / nodes;
  };
  const idleBefore = await cpuOver(IDLE_SECONDS);

  const phases: Omit<Measured, 'idle' | 'meanIdle'>[] = [];
  let present = 0;
  for (const keys of counts) {
    for (const { layout } of network.agents) await putSmallImage(layout, keys - present);
    present = keys;
    await waitUntilAdvertised(network, keys);
    await sleep(refreshSeconds * 1000);
    const before = await placed(network);
    const cpu = await cpuOver(ROUNDS * refreshSeconds);
    const after = await placed(network);
    const each = (what: 'records' | 'batches'): number =>
      (after[what] - before[what]) / nodes / (ROUNDS * refreshSeconds);
    const shape = { nodes, keys, refreshSeconds };
    phases.push({ shape, cpu, work: { records: each('records'), batches: each('batches') } });
  }

  for (const { layout } of network.agents) await clearLayout(layout);
  await waitUntilAdvertised(network, 0);
  await network.settled();
  const idleAfter = await cpuOver(IDLE_SECONDS);
  report.progress(
    `steady: idle ${idleBefore.toFixed(2)} before, ${idleAfter.toFixed(2)} ms/s after`,
  );
  const meanIdle = (idleBefore + idleAfter) / 2;
  return phases.map((phase) => ({ ...phase, meanIdle, idle: idleAfter }));
}

async function waitUntilAdvertised({ agents }: Network, keys: number): Promise<void> {
  await waitFor(
    `each agent advertises ${keys} keys`,
    async () => {
      const states = await statuses(agents);
      if (states.every((state) => state?.advertisedKeys === keys)) return true;
      throw new Error(states.map((state) => state?.advertisedKeys).join(' '));
    },
    { timeoutMs: PLACED_WITHIN_MS, everyMs: 500 },
  );
}

/** Records that the agents have placed since their start, and in how many batches. */
async function placed({ agents }: Network): Promise<{ records: number; batches: number }> {
  const texts = await Promise.all(agents.map((agent) => agent.scrape()));
  const total = (name: string): number => sum(texts.map((text) => readSum(text, name) ?? NaN));
  return {
    records: total('peerglass_placed_records_total'),
    batches: total('peerglass_placement_duration_seconds_count'),
  };
}
