import type { BenchAgent } from '../support/agent.ts';
import { HeadClient, type HeadAnswer } from '../support/head-client.ts';
import { LookupMetric } from '../support/lookup-metric.ts';
import { missingPath } from '../support/images.ts';
import type { Report } from '../support/report.ts';
import { quantile } from '../support/samples.ts';
import type { Stage } from '../support/stage.ts';

const ASKED = 4;
const WARM_UP = 100;
const REQUESTS = 1000;
/** On a machine that is busy with other things there are fewer. */
const BUDGET_MS = 30_000;
/** Requests of one kind alone, for the CPU that they take. */
const REQUESTS_ALONE = 300;

type Kind = 'hit' | 'manifest' | 'miss' | 'local';

/**
 * `HEAD` through agents that do not hold the content: of a key that one agent holds, mostly blobs (hit), of a tag or a
 * manifest that it holds, which is what containerd asks for by `HEAD` (manifest), of a blob without a holder (miss), and
 * at the holder itself (local), in turn. Also the time of content routing alone, from the metrics of the agents.
 */
export async function measureHead(stage: Stage, report: Report): Promise<void> {
  await using clients = new AsyncDisposableStack();
  const connect = ({ mirror }: BenchAgent): HeadClient => clients.use(new HeadClient(mirror));
  const asked = stage.others.slice(0, ASKED);
  const through = asked.map(connect);
  const holder = connect(stage.holder);
  const manifests = stage.paths.filter((path) => path.includes('/manifests/'));
  const ask = (kind: Kind, index: number): Promise<HeadAnswer> => {
    const client = kind === 'local' ? holder : (through[index % through.length] ?? holder);
    const held = pick(kind === 'manifest' ? manifests : stage.paths, index);
    return client.head(kind === 'miss' ? missingPath() : held);
  };

  report.progress('head: hits and misses in turn');
  const answers: Record<Kind, HeadAnswer[]> = { hit: [], manifest: [], miss: [], local: [] };
  const kinds = ['hit', 'manifest', 'miss', 'local'] as const;
  for (let index = 0; index < WARM_UP; index++) for (const kind of kinds) await ask(kind, index);
  const metric = await LookupMetric.begin(asked);
  const end = performance.now() + BUDGET_MS;
  for (let index = 0; index < REQUESTS && performance.now() < end; index++) {
    for (const kind of kinds) answers[kind].push(await ask(kind, WARM_UP + index));
  }
  await metric.end(report, 'head');
  for (const kind of kinds) {
    addTimes(report, 'head', kind, answers[kind], kind === 'miss' ? 404 : 200);
  }

  for (const kind of ['hit', 'manifest', 'miss'] as const) {
    report.progress(`head: CPU of a ${kind}`);
    const before = await stage.cpuMs();
    for (let index = 0; index < REQUESTS_ALONE; index++)
      await ask(kind, WARM_UP + REQUESTS + index);
    const taken = (await stage.cpuMs()) - before;
    report.add('head', `${kind} CPU`, taken / REQUESTS_ALONE, 'ms', 'all agents together');
  }
}

/** Asks for one key after another in an order that has nothing to do with where they are. */
export function pick(paths: readonly string[], index: number): string {
  return paths[(index * 7919) % paths.length] ?? '';
}

/** Adds the quantiles of requests of one kind, and how many were not answered with that status. */
export function addTimes(
  report: Report,
  figure: string,
  what: string,
  answers: readonly HeadAnswer[],
  expected = 200,
): void {
  const times = answers.map(({ milliseconds }) => milliseconds);
  const wrong = answers.filter(({ status }) => status !== expected).length;
  const note = `${times.length} requests, ${wrong} not ${expected}; the client's own work included`;
  report.add(figure, `${what} p50`, quantile(times, 0.5), 'ms', note);
  report.add(figure, `${what} p99`, quantile(times, 0.99), 'ms');
}
