/**
 * What the garbage collection of an idle agent saves and costs: `node e2e/bench/idle-collection.bench.ts`. Two agents
 * run side by side, one of them from a copy of the bundle that never collects while it is idle. Both get the same
 * traffic, then none. Needs no root and no containerd: the agents are processes on loopback addresses, over OCI image
 * layouts.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import { waitFor } from '../harness/wait.ts';
import { BenchAgent, PROGRAM } from './support/agent.ts';
import { putLargeImage, putSmallImages } from './support/images.ts';
import { RANDOM_DIGEST, type Downloads, type Requests } from './support/load.ts';
import { MemorySampler } from './support/memory-sampler.ts';
import { Network } from './support/network.ts';
import { whole } from './support/options.ts';
import { cpuMs, memory } from './support/proc.ts';
import { loadText, Report } from './support/report.ts';
import { median } from './support/samples.ts';
import { bundleWithoutIdleCollection } from './support/without-idle-collection.ts';

const USAGE = `node e2e/bench/idle-collection.bench.ts [OPTION]...
  --rounds N         each with two fresh agents (5)
  --others N         further agents, beside the one that holds the content (4)
  --seconds N        each of the three kinds of traffic (6)
  --idle-seconds N   how long idleness is watched (90)
`;

const MIB = 1 << 20;
const LARGE_BYTES = 256 * MIB;
const KEYS = 2_000;
/** After traffic an agent still tidies up for a while; its CPU counts from then on. */
const SETTLE_MS = 10_000;
/** Samples of resident memory at the end of idleness, one a second, whose mean counts. */
const SAMPLES = 10;

/** What one agent took in one round. */
interface Taken {
  readonly peak: number;
  readonly afterTraffic: number;
  readonly afterIdleness: number;
  readonly cpu: number;
}

const UNITS: Readonly<Record<keyof Taken, readonly [what: string, unit: string]>> = {
  peak: ['RSS under traffic, at most', 'MiB'],
  afterTraffic: ['RSS at the end of the traffic', 'MiB'],
  afterIdleness: ['RSS at the end of idleness', 'MiB'],
  cpu: ['CPU while idle', 'ms/s'],
};

const report = new Report();
const before = loadText();
const { rounds, others, seconds, idleSeconds } = readOptions();
await using network = new Network(others);
const holder = new BenchAgent(others + 1);
const holderPaths = await putSmallImages(holder.layout, KEYS);
const large = await putLargeImage(holder.layout, LARGE_BYTES);
report.progress(`starting ${others + 1} agents`);
await network.start();
await holder.start({ peers: network.agents.map(({ router }) => router) });
await network.connected([holder]);
await network.settled();

const programs = { with: PROGRAM, without: await bundleWithoutIdleCollection(PROGRAM) } as const;
type Name = keyof typeof programs;
const taken: Record<Name, Taken[]> = { with: [], without: [] };
for (let round = 1; round <= rounds; round++) {
  report.progress(`round ${round} of ${rounds}`);
  const names: Name[] = round % 2 === 0 ? ['without', 'with'] : ['with', 'without'];
  const results = await measure(names, others + 2 * round);
  for (const [index, name] of names.entries()) {
    const result = results[index];
    if (result === undefined) continue;
    taken[name].push(result);
    const texts = Object.entries<number>({ ...result }).map(
      ([what, value]) => `${what} ${value.toFixed(1)}`,
    );
    report.progress(`${name}: ${texts.join(', ')}`);
  }
}
await holder.stop();
for (const [what, [text, unit]] of Object.entries(UNITS) as [keyof Taken, [string, string]][]) {
  const values = (name: Name): number[] => taken[name].map((each) => each[what]);
  for (const name of ['with', 'without'] as const) {
    const all = values(name).map((value) => value.toFixed(1));
    report.add(name, text, median(values(name)), unit, `rounds: ${all.join(', ')}`);
  }
  const ratios = values('with').map((value, round) => value / (values('without')[round] ?? NaN));
  report.add('ratio', `${text}, with to without`, median(ratios), 'x');
}
process.stdout.write(
  `\n${cpus().length} cores, load average ${before} before and ${loadText()} after. Medians of ${rounds} rounds. Others may` +
    ' have used the machine: compare within this run only.\n\n',
);
process.stdout.write(report.table());
await network[Symbol.asyncDispose]();
process.exit();

/** Starts a fresh agent of each program, gives both the same traffic, and watches them while they are idle. */
async function measure(names: readonly Name[], index: number): Promise<readonly Taken[]> {
  await using parts = new AsyncDisposableStack();
  const agents = names.map((_, place) => parts.use(new BenchAgent(index + place)));
  const peers = [...network.agents, holder].map(({ router }) => router);
  for (const [place, agent] of agents.entries()) {
    await agent.start({ peers, program: programs[names[place] ?? 'with'] });
  }
  await waitFor(
    'both agents know the others',
    async () => {
      const states = await Promise.all(agents.map((agent) => agent.status()));
      return states.every((state) => (state?.peers ?? 0) > others);
    },
    { timeoutMs: 120_000, everyMs: 500 },
  );
  const samplers = agents.map(({ pid }) => new MemorySampler(pid));
  await Promise.all(agents.map(({ mirror }) => load(mirror)));
  const peaks = await Promise.all(samplers.map((sampler) => sampler.stop()));
  const afterTraffic = await Promise.all(agents.map(({ pid }) => memory(pid)));
  await sleep(SETTLE_MS);
  const started = performance.now();
  const cpuBefore = await Promise.all(agents.map(({ pid }) => cpuMs(pid)));
  await sleep(idleSeconds * 1000 - SETTLE_MS - SAMPLES * 1000);
  const samples: number[][] = agents.map(() => []);
  for (let sample = 0; sample < SAMPLES; sample++) {
    await sleep(1000);
    for (const [place, { pid }] of agents.entries()) samples[place]?.push((await memory(pid)).rss);
  }
  const cpuAfter = await Promise.all(agents.map(({ pid }) => cpuMs(pid)));
  const elapsed = (performance.now() - started) / 1000;
  return agents.map((_, place) => ({
    peak: (peaks[place]?.rss ?? NaN) / MIB,
    afterTraffic: (afterTraffic[place]?.rss ?? NaN) / MIB,
    afterIdleness: mean(samples[place] ?? []) / MIB,
    cpu: ((cpuAfter[place] ?? NaN) - (cpuBefore[place] ?? NaN)) / elapsed,
  }));
}

/** The traffic of a node with pulls: blobs of a peer, then unknown digests, then small content of a peer. */
async function load(mirror: string): Promise<void> {
  const [tag = ''] = holderPaths;
  const missing = `${mirror}/v2/bench/none/blobs/sha256:${RANDOM_DIGEST}?ns=registry.example`;
  await run('downloads', { url: mirror + large, clients: 4, seconds });
  await run('requests', { url: missing, connections: 16, seconds, method: 'HEAD' });
  await run('requests', { url: mirror + tag, connections: 8, seconds });
}

async function run(
  program: 'downloads' | 'requests',
  options: Downloads | Requests,
): Promise<void> {
  const file = fileURLToPath(new URL(`programs/${program}.ts`, import.meta.url));
  await promisify(execFile)(process.execPath, [file, JSON.stringify(options)]);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function readOptions(): {
  readonly rounds: number;
  readonly others: number;
  readonly seconds: number;
  readonly idleSeconds: number;
} {
  const text = { type: 'string' } as const;
  try {
    const { values } = parseArgs({
      options: {
        rounds: { ...text, default: '5' },
        others: { ...text, default: '4' },
        seconds: { ...text, default: '6' },
        'idle-seconds': { ...text, default: '90' },
      },
    });
    if (!existsSync(PROGRAM)) throw new Error(`there is no ${PROGRAM}; run scripts/build`);
    return {
      rounds: whole(values.rounds),
      others: whole(values.others),
      seconds: whole(values.seconds),
      idleSeconds: whole(values['idle-seconds']),
    };
  } catch (error) {
    process.stderr.write(`${String(error)}\n\n${USAGE}`);
    process.exit(2);
  }
}
