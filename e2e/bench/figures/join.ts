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

/** When each key is asked of every agent, in seconds after the last agent was ready. */
const ALL_ASKED_AFTER_S = 30;

/** Options of {@link measureJoin}. */
export interface JoinInit {
  readonly nodes: number;
  /** Whether each agent is told of all others, instead of the first one only. */
  readonly toldOfAll: boolean;
  /** Seconds in which they start, one after another. 0: all at once. */
  readonly spreadSeconds: number;
  /** Whether all of them are killed at the end and started again within a second. */
  readonly isRestarted: boolean;
}

interface HeldKey {
  readonly path: string;
  readonly holder: BenchAgent;
}

/** Adds a figure of one start of the network. */
type Add = (what: string, value: number, unit: string, note: string) => void;

/**
 * What agents find that bootstrap from one address, or are told of all: some hold keys, and each key is asked of another agent at random,
 * at several times after the last one was ready, and once of every other agent.
 */
export async function measureJoin(
  report: Report,
  { nodes, toldOfAll, spreadSeconds, isRestarted }: JoinInit,
): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const agents = Array.from({ length: nodes }, (_, index) => new BenchAgent(index + 1));
  const keys = await putContent(agents);
  stack.defer(async () => {
    await Promise.all(agents.map((agent) => agent.stop()));
  });
  const routers = agents.map(({ router }) => router);
  const peers = toldOfAll ? routers : routers.slice(0, 1);
  await measureStart('', spreadSeconds);
  if (isRestarted) {
    await Promise.all(agents.map((agent) => agent.kill()));
    await measureStart('killed and started again, ', 1);
  }

  async function measureStart(how: string, seconds: number): Promise<void> {
    const started = performance.now();
    for (const [index, agent] of agents.entries()) {
      // The start of a process takes time too.
      await sleep(Math.max(0, started + (seconds * 1000 * index) / nodes - performance.now()));
      // The first of all has no other to join.
      await agent.start({ peers: peers.filter((address) => address !== agent.router) });
    }
    const launchedAt = performance.now();
    await ready(agents);
    const add: Add = (what, value, unit, note) => {
      report.add('join', `${nodes}: ${how}${what}`, value, unit, note);
    };
    add('all launched', launchedAt - started, 'ms', `meant to be spread over ${seconds} s`);
    add('all ready', performance.now() - started, 'ms', 'know a peer, and /readyz is 200');
    await askLater(agents, keys, add);
    const cpuMs = await totalCpuMs(agents.map(({ pid }) => pid));
    add('CPU of an agent', cpuMs / nodes, 'ms', 'from its start to the end');
  }
}

async function askLater(
  agents: readonly BenchAgent[],
  keys: readonly HeldKey[],
  add: Add,
): Promise<void> {
  const readyAt = performance.now();
  for (const seconds of ASKED_AFTER_S) {
    await sleep(Math.max(0, readyAt + seconds * 1000 - performance.now()));
    const known = (await statuses(agents)).map((state) => state?.peers ?? 0);
    const when = `after ${seconds} s`;
    add(`known ${when}`, median(known), '', `of ${agents.length - 1}, median`);
    const { found, slowestMs } = await askAtRandom(agents, keys);
    add(`found ${when}`, found, '', `of ${keys.length}`);
    add(`slowest ${when}`, slowestMs, 'ms', 'of all look-ups, misses too');
    if (seconds !== ALL_ASKED_AFTER_S) continue;
    const all = await askEach(agents, keys);
    add(`found ${when}, each key by each agent`, all.found, '', `of ${all.asked}`);
  }
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
      const are = await Promise.all(
        agents.map(async (agent, index) => (states[index]?.peers ?? 0) > 0 && agent.isReady()),
      );
      const count = are.filter(Boolean).length;
      if (count === agents.length) return true;
      throw new Error(`${count} of them are`);
    },
    { timeoutMs: READY_MS, everyMs: 1000 },
  );
}

/** Asks for each key at one agent that does not hold it. */
async function askAtRandom(
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

/** Asks every agent for each key that it does not hold. */
async function askEach(
  agents: readonly BenchAgent[],
  keys: readonly HeldKey[],
): Promise<{ readonly found: number; readonly asked: number }> {
  let found = 0;
  let asked = 0;
  for (const agent of agents) {
    await using client = new HeadClient(agent.mirror);
    for (const { path, holder } of keys) {
      if (holder === agent) continue;
      asked++;
      if ((await client.head(path)).status === 200) found++;
    }
  }
  return { found, asked };
}
