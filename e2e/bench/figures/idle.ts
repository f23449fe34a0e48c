import { setTimeout as sleep } from 'node:timers/promises';

import type { BenchAgent } from '../support/agent.ts';
import { cpuMs, memory } from '../support/proc.ts';
import type { Report } from '../support/report.ts';
import { median } from '../support/samples.ts';
import type { Stage } from '../support/stage.ts';

/** After work the agents still tidy up for a while. */
const SETTLE_MS = 15_000;
const MIB = 1 << 20;

/** What an agent among many takes while nothing happens. */
export async function measureIdle(
  { agents }: Stage,
  report: Report,
  { seconds }: { readonly seconds: number },
): Promise<void> {
  report.progress(`idle: ${SETTLE_MS / 1000} s to settle, then ${seconds} s`);
  await sleep(SETTLE_MS);
  const perAgent = await idleCpu(agents, seconds);
  const note = `${agents.length} agents over ${seconds} s`;
  report.add('idle', 'CPU, median agent', median(perAgent), 'ms/s', note);
  report.add('idle', 'CPU, busiest agent', Math.max(...perAgent), 'ms/s');
}

/** CPU of each agent over some seconds of real time, in milliseconds a second. */
async function idleCpu(agents: readonly BenchAgent[], seconds: number): Promise<readonly number[]> {
  const read = (): Promise<number[]> => Promise.all(agents.map(({ pid }) => cpuMs(pid)));
  const started = performance.now();
  const before = await read();
  await sleep(seconds * 1000);
  const after = await read();
  const elapsed = (performance.now() - started) / 1000;
  return after.map((time, index) => (time - (before[index] ?? 0)) / elapsed);
}

/** Memory of the agents after all that was done with them. */
export async function measureMemory({ others, holder }: Stage, report: Report): Promise<void> {
  const read = await Promise.all(others.map(({ pid }) => memory(pid)));
  const rss = read.map((each) => each.rss / MIB);
  const anonymous = read.map((each) => each.anonymous / MIB);
  report.add('memory', 'RSS, median agent', median(rss), 'MiB', 'after all figures before');
  report.add('memory', 'RSS, largest agent', Math.max(...rss), 'MiB');
  report.add('memory', 'anonymous RSS, median agent', median(anonymous), 'MiB');
  report.add('memory', 'anonymous RSS, largest agent', Math.max(...anonymous), 'MiB');
  const own = await memory(holder.pid);
  report.add('memory', 'RSS, holder', own.rss / MIB, 'MiB');
  report.add('memory', 'anonymous RSS, holder', own.anonymous / MIB, 'MiB');
}
