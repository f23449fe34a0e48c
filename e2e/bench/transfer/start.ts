import { setTimeout as sleep } from 'node:timers/promises';

import type { Report } from '../support/report.ts';
import { memory } from '../support/proc.ts';
import { median } from '../support/samples.ts';
import type { TransferStage } from '../support/transfer-stage.ts';

const SETTLE_MS = 5000;
const MIB = 1 << 20;

/** From `exec` to readiness, and what an agent takes when it has nothing to do. */
export async function measureStart(
  { b }: TransferStage,
  report: Report,
  { rounds }: { readonly rounds: number },
): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await b.agent.stop();
    const started = performance.now();
    await b.agent.restart();
    times.push(performance.now() - started);
  }
  report.add('start', 'from exec to /readyz 200', median(times), 'ms', 'looked at every 50 ms');
  await sleep(SETTLE_MS);
  const { rss, anonymous } = await memory(b.agent.pid);
  const note = `${Math.round(anonymous / MIB)} of it anonymous`;
  report.add('start', 'idle memory', Math.round(rss / MIB), 'MiB', note);
}
