/** Takes the figures of Spegel's nodes, inside of their network namespace, see `figures/spegel.ts`. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Child } from '../../harness/child.ts';
import { waitFor } from '../../harness/wait.ts';
import { HeadClient, searchAll } from '../support/head-client.ts';
import { missingPath } from '../support/images.ts';
import { cpuMs, settled, totalCpuMs } from '../support/proc.ts';
import { median, quantile } from '../support/samples.ts';

/** What to measure: as JSON in the file that is the argument of the program. */
export interface SpegelInit {
  readonly program: string;
  /** For logs. */
  readonly folder: string;
  readonly socket: string;
  readonly contentPath: string;
  /** One for each node; the last one is the holder's. */
  readonly machines: readonly SpegelMachine[];
  /** Namespaces of containerd: two for each round, with few keys and with many, and one with many for what follows. */
  readonly contents: readonly Content[];
}

/** Where a node runs. */
export interface SpegelMachine {
  readonly address: string;
  /** Its network namespace. */
  readonly namespace: string;
}

/** A namespace of containerd with content that no other has: records of an earlier holder find nothing. */
export interface Content {
  readonly namespace: string;
  /** Paths at which a mirror has its keys. */
  readonly paths: readonly string[];
}

/** A message to the parent: a figure, or what the program is doing. */
export interface SpegelFigure {
  readonly what: string;
  readonly value?: number;
  readonly unit?: string;
  readonly note?: string;
}

const PORTS = { registry: 5000, router: 5001, bootstrap: 5002, metrics: 9090 } as const;
/** From the start of a holder until its keys are placed and the network is quiet again, in milliseconds. */
const WINDOW_MS = 30_000;
const STAGGER_MS = 100;
const LIMIT_MS = 60_000;
const IDLE_MS = 40_000;
const ASKED = 4;
const REQUESTS = 500;

const init = JSON.parse(readFileSync(process.argv[2] ?? '', 'utf8')) as SpegelInit;
const [first, holderMachine] = [init.machines[0], init.machines.at(-1)];
if (first === undefined || holderMachine === undefined) throw new Error('there is no machine');
const { address: bootstrap } = first;
const { address: holderAddress } = holderMachine;
const others: Child[] = [];
const resources = new AsyncDisposableStack();
for (const machine of init.machines.slice(0, -1)) {
  others.push(resources.use(start(machine, 'none')));
  await sleep(STAGGER_MS);
}
for (const { address } of init.machines.slice(0, -1)) await ready(address);
await settled(others.map(({ pid }) => pid));

const rounds = init.contents.slice(0, -1);
const last = init.contents.at(-1) ?? { namespace: '', paths: [] };
const costs: number[] = [];
for (let at = 0; at + 1 < rounds.length; at += 2) {
  const [few, many] = [
    await placeOnce(holderMachine, rounds[at]),
    await placeOnce(holderMachine, rounds[at + 1]),
  ];
  progress(`${few.keys} and ${many.keys} keys: ${few.cpuMs} and ${many.cpuMs} ms of CPU`);
  costs.push((many.cpuMs - few.cpuMs) / (many.keys - few.keys));
}
const all = costs.map((cost) => cost.toFixed(2)).join(' ');
add('CPU a key', median(costs), 'ms', `beyond a start, ${WINDOW_MS / 1000} s each; rounds: ${all}`);

resources.use(start(holderMachine, last.namespace));
await ready(holderAddress);
await sleep(WINDOW_MS);
const own = await searchAll(mirrorOf(holderAddress), last.paths, 0);
add('keys that the holder itself does not have', own.lost);
const { lost, missedAtFirst } = await searchAll(mirrorOf(bootstrap), last.paths, LIMIT_MS);
add('keys lost', lost, '', `not at the first request: ${missedAtFirst}`);
await settled(others.map(({ pid }) => pid));
await measureIdle();
await measureHead();
await resources.disposeAsync();
process.exit();

/** CPU of all nodes in the time after the start of a holder. */
async function placeOnce(
  place: SpegelMachine,
  content: Content | undefined,
): Promise<{ cpuMs: number; keys: number }> {
  if (content === undefined) throw new Error('there is no content');
  const before = await totalCpuMs(others.map(({ pid }) => pid));
  await using holder = start(place, content.namespace);
  await sleep(WINDOW_MS);
  const after = await totalCpuMs([...others, holder].map(({ pid }) => pid));
  await holder.stop();
  await settled(others.map(({ pid }) => pid));
  return { cpuMs: after - before, keys: content.paths.length };
}

async function measureIdle(): Promise<void> {
  const read = (): Promise<number[]> => Promise.all(others.map(({ pid }) => cpuMs(pid)));
  const before = await read();
  await sleep(IDLE_MS);
  const after = await read();
  const rates = after.map((time, at) => (time - (before[at] ?? 0)) / (IDLE_MS / 1000));
  add('idle CPU, median node', median(rates), 'ms/s');
}

async function measureHead(): Promise<void> {
  const clients = init.machines
    .slice(0, ASKED)
    .map(({ address }) => new HeadClient(mirrorOf(address)));
  const times = { hit: [] as number[], miss: [] as number[] };
  const wrong = { hit: 0, miss: 0 };
  for (let at = 0; at < REQUESTS; at++) {
    const client = clients[at % clients.length];
    if (client === undefined) break;
    for (const kind of ['hit', 'miss'] as const) {
      const isHit = kind === 'hit';
      const path = isHit ? (last.paths[(at * 7919) % last.paths.length] ?? '') : missingPath();
      const { status, milliseconds } = await client.head(path);
      times[kind].push(milliseconds);
      if (status !== (isHit ? 200 : 404)) wrong[kind] += 1;
    }
  }
  for (const kind of ['hit', 'miss'] as const) {
    const note = `${REQUESTS} requests, ${wrong[kind]} with another status`;
    add(`HEAD ${kind} p50`, quantile(times[kind], 0.5), 'ms', note);
    add(`HEAD ${kind} p99`, quantile(times[kind], 0.99), 'ms');
  }
  await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
}

/** @param images namespace of containerd whose images it has */
function start({ address, namespace }: SpegelMachine, images: string): Child {
  return new Child({
    namespace,
    command: [
      init.program,
      ...['--log-level', 'ERROR', 'registry'],
      ...['--containerd-sock', init.socket, '--containerd-content-path', init.contentPath],
      ...['--containerd-namespace', images],
      ...['--registry-addr', `${address}:${PORTS.registry}`],
      ...['--router-addr', `${address}:${PORTS.router}`],
      ...['--metrics-addr', `${address}:${PORTS.metrics}`],
      ...['--bootstrap-kind', 'http', '--http-bootstrap-addr', `${address}:${PORTS.bootstrap}`],
      ...['--http-bootstrap-peer', `http://${bootstrap}:${PORTS.bootstrap}`],
    ],
    logFile: join(init.folder, `spegel-${address}.log`),
  });
}

async function ready(address: string): Promise<void> {
  const isReady = async (): Promise<boolean> => (await fetch(`${mirrorOf(address)}/readyz`)).ok;
  await waitFor(`Spegel on ${address} is ready`, isReady, { timeoutMs: LIMIT_MS });
}

function mirrorOf(address: string): string {
  return `http://${address}:${PORTS.registry}`;
}

function progress(what: string): void {
  process.send?.({ what } satisfies SpegelFigure);
}

function add(what: string, value: number, unit = '', note = ''): void {
  process.send?.({ what, value, unit, note } satisfies SpegelFigure);
}
