import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { waitFor } from '../../harness/wait.ts';
import { BenchAgent } from '../support/agent.ts';
import { HeadClient } from '../support/head-client.ts';
import { putSmallImage } from '../support/images.ts';
import { statuses } from '../support/network.ts';
import { totalCpuMs } from '../support/proc.ts';
import type { Report } from '../support/report.ts';
import { median } from '../support/samples.ts';

/** Agents that hold content, and keys of each. */
const HOLDERS = 6;
const KEYS_OF_HOLDER = 10;
/** When the keys are asked for, in seconds after the last agent was ready. */
const ASKED_AFTER_S = [5, 20, 30, 60, 120];
const READY_MS = 300_000;

/** Options of {@link measureJoin}. */
export interface JoinInit {
  readonly nodes: number;
  /** Whether each agent is told of all others, instead of the first one only. */
  readonly toldOfAll: boolean;
  /** Seconds in which they start, one after another. 0: all at once. */
  readonly spreadSeconds: number;
}

interface HeldKey {
  readonly path: string;
  readonly holder: BenchAgent;
}

/**
 * What agents find that bootstrap from one address, or are told of all: some hold keys, and each key is asked of another agent at random,
 * at several times after the last one has started.
 */
export async function measureJoin(
  report: Report,
  { nodes, toldOfAll, spreadSeconds }: JoinInit,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const agents = Array.from({ length: nodes }, (_, index) => new BenchAgent(index + 1));
  const keys = await putContent(agents);
  const [first, ...rest] = agents;
  if (first === undefined) return;
  stack.defer(async () => {
    await Promise.all(agents.map((agent) => agent.stop()));
  });
  const started = performance.now();
  const routers = agents.map(({ router }) => router);
  await first.start({ peers: toldOfAll ? routers : [] });
  for (const agent of rest) {
    await agent.start({ peers: toldOfAll ? routers : [first.router] });
    await sleep((spreadSeconds * 1000) / nodes);
  }
  await ready(agents);
  const readyAt = performance.now();
  const add = (what: string, value: number, unit: string, note: string): void => {
    report.add('join', `${nodes}: ${what}`, value, unit, note);
  };
  add('all ready', readyAt - started, 'ms', `spread over ${spreadSeconds} s`);
  for (const seconds of ASKED_AFTER_S) {
    await sleep(Math.max(0, readyAt + seconds * 1000 - performance.now()));
    const known = (await statuses(agents)).map((state) => state?.peers ?? 0);
    const when = `after ${seconds} s`;
    add(`known ${when}`, median(known), '', `of ${nodes - 1}, median`);
    const { found, slowestMs } = await askAll(agents, keys);
    add(`found ${when}`, found, '', `of ${keys.length}`);
    add(`slowest ${when}`, slowestMs, 'ms', 'of all look-ups, misses too');
    report.progress(`join: ${when} ${found} of ${keys.length}, slowest ${slowestMs.toFixed(0)} ms`);
  }
  const cpuMs = await totalCpuMs(agents.map(({ pid }) => pid));
  add('CPU of an agent', cpuMs / nodes, 'ms', 'from its start to the end');
}

async function putContent(agents: readonly BenchAgent[]): Promise<HeldKey[]> {
  const stride = Math.max(1, Math.floor(agents.length / HOLDERS));
  const keys: HeldKey[] = [];
  for (const [index, holder] of agents.entries()) {
    if (index % stride !== 0 || keys.length >= HOLDERS * KEYS_OF_HOLDER) continue;
    const paths = await putSmallImage(holder.layout, KEYS_OF_HOLDER);
    keys.push(...paths.map((path) => ({ path, holder })));
  }
  return keys;
}

async function ready(agents: readonly BenchAgent[]): Promise<void> {
  await waitFor(
    `${agents.length} agents are ready`,
    async () => {
      const states = await statuses(agents);
      const count = states.filter((state) => state !== undefined && state.peers > 0).length;
      if (count === agents.length) return true;
      throw new Error(`${count} of them are`);
    },
    { timeoutMs: READY_MS, everyMs: 1000 },
  );
}

async function askAll(
  agents: readonly BenchAgent[],
  keys: readonly HeldKey[],
): Promise<{ readonly found: number; readonly slowestMs: number }> {
  let found = 0;
  let slowestMs = 0;
  for (const { path, holder } of keys) {
    const others = agents.filter((agent) => agent !== holder);
    const asked = others[randomInt(others.length)] ?? holder;
    await using client = new HeadClient(asked.mirror);
    const { status, milliseconds } = await client.head(path);
    if (status === 200) found++;
    slowestMs = Math.max(slowestMs, milliseconds);
  }
  return { found, slowestMs };
}
