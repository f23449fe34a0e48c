/**
 * What it would cost to have a second process, so that the one which parses strangers' bytes is not the one with containerd's
 * socket: `node e2e/bench/second-process.bench.ts`. Memory of such a process by what it has loaded, and time and CPU to pass a
 * message to it and get the answer, beside the whole of a request at an agent. Naive code: a process that does the work would
 * cost more. Needs a bundle (`scripts/build`), and no root.
 */
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { waitFor } from '../harness/wait.ts';
import { BenchAgent } from './support/agent.ts';
import { HeadClient } from './support/head-client.ts';
import { putSmallImage } from './support/images.ts';
import { whole } from './support/options.ts';
import { cpuMs, memory } from './support/proc.ts';
import { loadText, Report } from './support/report.ts';
import { median, quantile } from './support/samples.ts';
import { bundleParser, KINDS, SecondProcess } from './support/second-process.ts';

const MIB = 1 << 20;
/** After its start a process still tidies up. */
const SETTLE_MS = 5_000;

const USAGE = `node e2e/bench/second-process.bench.ts [OPTION]...
  --messages N   one after another, in each of three rounds (5000)
`;
const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '5000' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit();
}
const messages = whole(values.messages);
const report = new Report();
const before = loadText();
const program = await bundleParser();

for (const kind of KINDS) {
  await using second = await SecondProcess.start(program, kind);
  await sleep(SETTLE_MS);
  const { rss, anonymous } = await memory(second.pid);
  const note = kind === 'nothing' ? 'Node.js alone' : `with what it needs for ${kind}`;
  report.add('memory', `a process that has loaded ${kind}`, rss / MIB, 'MiB', note);
  report.add('memory', `${kind}, its own`, anonymous / MIB, 'MiB', 'shared with no other process');
}
await using agent = new BenchAgent(1);
const [path = ''] = await putSmallImage(agent.layout, 1);
await agent.start();
await waitFor('the agent is ready', async () => ((await agent.status())?.advertisedKeys ?? 0) > 0);
await sleep(SETTLE_MS);
{
  const { rss, anonymous } = await memory(agent.pid);
  report.add('memory', 'a whole agent, idle', rss / MIB, 'MiB');
  report.add('memory', 'agent, its own', anonymous / MIB, 'MiB');
}

await using second = await SecondProcess.start(program, 'parsers');
await using client = new HeadClient(agent.mirror);
const ways: Readonly<Record<string, { pids: readonly number[]; call: () => Promise<unknown> }>> = {
  'HEAD of a local blob at an agent': { pids: [agent.pid], call: () => client.head(path) },
  'message by the channel of Node.js': {
    pids: [process.pid, second.pid],
    call: () => second.byChannel(),
  },
  'message by a Unix socket': { pids: [process.pid, second.pid], call: () => second.bySocket() },
};
const taken = new Map<string, { times: number[]; cpu: number[] }>();
for (let round = 0; round < 3; round++) {
  for (const [name, { pids, call }] of Object.entries(ways)) {
    for (let index = 0; index < messages / 10; index++) await call();
    const start = await total(pids);
    const times: number[] = [];
    for (let index = 0; index < messages; index++) {
      const from = performance.now();
      await call();
      times.push((performance.now() - from) * 1000);
    }
    const cpu = ((await total(pids)) - start) / messages;
    const all = taken.get(name) ?? { times: [], cpu: [] };
    taken.set(name, { times: [...all.times, ...times], cpu: [...all.cpu, cpu * 1000] });
  }
}
for (const [name, { times, cpu }] of taken) {
  report.add('time', `${name}, p50`, quantile(times, 0.5), 'us', 'one after another');
  report.add('time', `${name}, p99`, quantile(times, 0.99), 'us');
  report.add('CPU', name, median(cpu), 'us', name.startsWith('HEAD') ? 'agent' : 'both sides');
}
process.stdout.write(
  `\n${cpus().length} cores, load average ${before} before and ${loadText()} after. Compare within this run only.\n\n`,
);
process.stdout.write(report.table());
report.writeJson();
await second[Symbol.asyncDispose]();
await agent.stop();
process.exit();

async function total(pids: readonly number[]): Promise<number> {
  const all = await Promise.all(pids.map(cpuMs));
  return all.reduce((sum, each) => sum + each, 0);
}
