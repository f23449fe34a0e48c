import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { AgentProcess, agentEnvironment, PORTS } from '../../harness/agent-process.ts';
import { ContainerdNode } from '../../harness/containerd-node.ts';
import { containerdRelease } from '../../harness/containerd-versions.ts';
import { Network } from '../../harness/namespaces.ts';
import { waitFor } from '../../harness/wait.ts';
import { PROGRAM } from '../support/agent.ts';
import { cpuMs, machineBusyMs, settled } from '../support/proc.ts';
import { Program } from '../support/program.ts';
import type { Report } from '../support/report.ts';
import { quantile, sum } from '../support/samples.ts';
import { ASKED, contentsOf, type Asked, type AskOrder, type AskResult } from './asking.ts';
import type { PartsOptions } from './options.ts';

const ASKERS = new URL('../programs/askers.ts', import.meta.url);
/** Before the questions that count. */
const WARM_UP_SECONDS = 2;
/** From the order to the first question: the processes learn the digests meanwhile. */
const START_MS = 500;
const IDLE_MS = 5000;
const KNOWN_MS = 120_000;
const FORGOTTEN_MS = 60_000;

/** The agent that is asked, and those that ask. */
interface Asking {
  readonly agent: AgentProcess;
  readonly programs: readonly Program[];
  readonly peerIds: readonly string[];
  readonly arbiter: string;
}

/**
 * Questions to the arbiter of a real agent, at fixed times, from peers in other processes on other machines of a network of
 * namespaces without limits. The agent has a containerd, without which it would be no arbiter.
 */
export async function measureQuestions(report: Report, options: PartsOptions): Promise<void> {
  await using resources = new AsyncDisposableStack();
  const asking = await start(resources, report, options);
  const idle = await idleShare(asking.agent);
  report.add('questions', 'the arbiter without questions', idle * 100, '% of a core');
  for (const asked of ASKED) {
    // A peer that is a member of too many digests is sent away.
    await waitFor('the arbiter has forgotten', () => hasForgotten(asking.agent), {
      timeoutMs: FORGOTTEN_MS,
      everyMs: 500,
    });
    report.progress(`${options.rate} questions a second, ${asked}`);
    await measure(report, options, asking, asked, idle);
  }
}

async function start(
  resources: AsyncDisposableStack,
  report: Report,
  { suite, hosts, peers }: PartsOptions,
): Promise<Asking> {
  report.progress(`starting an agent and ${hosts * peers} peers in ${hosts} processes`);
  const network = resources.use(await Network.create());
  const host = await network.addHost('arbiter');
  const release = await containerdRelease(suite);
  const node = resources.use(await ContainerdNode.start({ host, release }));
  const agent = resources.use(
    await AgentProcess.launch({ node, peers: [], program: PROGRAM, logLevel: 'INFO' }),
  );
  await agent.ready();
  const address = `/ip4/${host.address}/tcp/${PORTS.router}`;
  const { SWARM_KEY_FILE: swarmKeyFile } = agentEnvironment();
  const programs: Program[] = [];
  const peerIds: string[] = [];
  for (let index = 0; index < hosts; index++) {
    const { namespace } = await network.addHost(`asker${index}`);
    const program = resources.use(new Program(ASKERS, namespace));
    programs.push(program);
    peerIds.push(
      ...((await program.ask('start', { count: peers, address, swarmKeyFile })) as string[]),
    );
  }
  await waitFor(
    'all know the arbiter',
    async () => {
      const known = await Promise.all(programs.map((it) => it.ask('known')));
      if (known.every((count) => count === peerIds.length)) return true;
      throw new Error(`members known: ${known.join(' ')}`);
    },
    { timeoutMs: KNOWN_MS, everyMs: 500 },
  );
  await settled([agent.pid, ...programs.map(({ pid }) => pid)]);
  const arbiter = (await programs[0]?.ask('arbiter', peerIds)) as string;
  return { agent, programs, peerIds, arbiter };
}

async function measure(
  report: Report,
  { rate, seconds }: PartsOptions,
  { agent, programs, peerIds, arbiter }: Asking,
  asked: Asked,
  idle: number,
): Promise<void> {
  const questions = rate * (WARM_UP_SECONDS + seconds);
  const contents = contentsOf(asked, questions, peerIds.length);
  const order: Omit<AskOrder, 'first'> = {
    asked,
    arbiter,
    peers: peerIds.length,
    startsAt: Date.now() + START_MS,
    questionsPerSecond: rate,
    questions,
    countedFrom: rate * WARM_UP_SECONDS,
    digests: Array.from({ length: contents }, randomDigest),
  };
  const perProgram = peerIds.length / programs.length;
  const results = Promise.all(
    programs.map(
      async (program, index) =>
        (await program.ask('ask', { ...order, first: index * perProgram })) as AskResult,
    ),
  );
  await sleep(order.startsAt + WARM_UP_SECONDS * 1000 - Date.now());
  const used = await usedOver([agent.pid, ...programs.map(({ pid }) => pid)], seconds * 1000);
  addResults(report, asked, await results);
  const counted = rate * seconds;
  const [ofArbiter = NaN, ...ofAskers] = used.processes;
  const above = (ofArbiter - idle) * seconds * 1000;
  report.add(asked, 'CPU of the arbiter', (above / counted) * 1000, 'µs a question', 'above idle');
  report.add(asked, 'CPU of the arbiter', ofArbiter * 100, '% of a core', 'all that it does');
  report.add(asked, 'CPU of those that ask', sum(ofAskers) * 100, '% of a core');
  report.add(asked, 'CPU of the machine', used.machine * 100, '% of a core', 'all processes');
}

function addResults(report: Report, asked: Asked, results: readonly AskResult[]): void {
  const fromDue = results.flatMap((it) => it.fromDue);
  const fromAsked = results.flatMap((it) => it.fromAsked);
  const wants = results.flatMap((it) => it.wants);
  const answers: Record<string, number> = {};
  for (const result of results)
    for (const [kind, count] of Object.entries(result.answers))
      answers[kind] = (answers[kind] ?? 0) + count;
  report.add(asked, 'answers', fromDue.length, '', JSON.stringify(answers));
  addTimes(report, asked, 'from when it was due', fromDue, 'goal: p99 at most 10 ms');
  addTimes(report, asked, 'from when it was sent', fromAsked);
  if (wants.length < fromDue.length) addTimes(report, asked, 'without reports, from due', wants);
}

function addTimes(
  report: Report,
  asked: Asked,
  what: string,
  times: readonly number[],
  note?: string,
): void {
  report.add(asked, `${what}: p50`, quantile(times, 0.5), 'ms');
  report.add(asked, `${what}: p99`, quantile(times, 0.99), 'ms', note);
  report.add(asked, `${what}: longest`, quantile(times, 1), 'ms');
}

async function hasForgotten(agent: AgentProcess): Promise<boolean> {
  const response = await agent.fetchMetrics('/debug/downloads');
  const { arbiter } = (await response.json()) as { arbiter: { digests: number } };
  return arbiter.digests === 0;
}

async function idleShare({ pid }: AgentProcess): Promise<number> {
  const [share = NaN] = (await usedOver([pid], IDLE_MS)).processes;
  return share;
}

/** Shares of a core that these processes, and all, use from now on for so long. */
async function usedOver(
  pids: readonly number[],
  milliseconds: number,
): Promise<{ readonly processes: readonly number[]; readonly machine: number }> {
  const [before, busy, begin] = [await cpuOf(pids), await machineBusyMs(), performance.now()];
  await sleep(milliseconds);
  const elapsed = performance.now() - begin;
  const after = await cpuOf(pids);
  return {
    processes: after.map((cpu, index) => (cpu - (before[index] ?? NaN)) / elapsed),
    machine: ((await machineBusyMs()) - busy) / elapsed,
  };
}

function cpuOf(pids: readonly number[]): Promise<number[]> {
  return Promise.all(pids.map(cpuMs));
}

function randomDigest(): string {
  return `sha256:${randomBytes(32).toString('hex')}`;
}
