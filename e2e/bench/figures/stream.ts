import { setTimeout as sleep } from 'node:timers/promises';

import { HeadClient, type HeadAnswer } from '../support/head-client.ts';
import { LookupMetric } from '../support/lookup-metric.ts';
import { Program } from '../support/program.ts';
import type { Report } from '../support/report.ts';
import type { Stage } from '../support/stage.ts';
import { addTimes, pick } from './head.ts';

const DOWNLOADER = new URL('../programs/download-loop.ts', import.meta.url);
const CLIENTS = 2;
const REQUESTS = 500;
/** On a machine that is busy with other things there are fewer. */
const BUDGET_MS = 20_000;
const WARM_UP_MS = 3000;
const MIB = 1 << 20;

/**
 * Hits through an agent that streams at full speed meanwhile: clients download a large blob of the holder
 * through it, so that the holder is as busy, and with two cores the machine as well.
 */
export async function measureWhileStreaming(stage: Stage, report: Report): Promise<void> {
  const [asked] = stage.others;
  if (asked === undefined) throw new Error('no agent to ask');
  await using parts = new AsyncDisposableStack();
  const client = parts.use(new HeadClient(asked.mirror));
  const ask = (index: number): Promise<HeadAnswer> => client.head(pick(stage.paths, index));
  const askAll = async (from: number): Promise<HeadAnswer[]> => {
    const answers: HeadAnswer[] = [];
    const end = performance.now() + BUDGET_MS;
    for (let index = from; index < from + REQUESTS && performance.now() < end; index++) {
      answers.push(await ask(index));
    }
    return answers;
  };

  report.progress('stream: hits through one agent, without streams');
  const path = await stage.putLarge();
  addTimes(report, 'stream', 'hit before', await askAll(0));
  report.progress('stream: the same while it streams');
  const clients = Array.from({ length: CLIENTS }, () => parts.use(new Program(DOWNLOADER)));
  for (const each of clients) {
    await each.ask('start', { mirror: asked.mirror, path });
  }
  await sleep(WARM_UP_MS);
  const received = async (): Promise<number> => {
    const counts = await Promise.all(clients.map((each) => each.ask('bytes')));
    return counts.reduce<number>((total, count) => total + Number(count), 0);
  };
  const [bytes, started] = [await received(), performance.now()];
  const metric = await LookupMetric.begin([asked]);
  const answers = await askAll(REQUESTS);
  const rate = ((await received()) - bytes) / (performance.now() - started);
  await metric.end(report, 'stream');
  addTimes(report, 'stream', 'hit while streaming', answers);
  report.add('stream', 'streamed', (rate * 1000) / MIB, 'MiB/s', `by ${CLIENTS} clients together`);
}
