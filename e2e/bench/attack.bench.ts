/**
 * What an attack on the DHT does to look-ups and to a node that joins, beside the same without it, in turn:
 * `node e2e/bench/attack.bench.ts --rounds 5`. Needs root: agents, members and attackers each in a network namespace of
 * their own. Needs no containerd. The attackers take their CPU from the same machine.
 */
import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { startMembers, FalseMember } from '../attacks/support/false-member.ts';
import { agentEnvironment, PORTS } from '../harness/agent-process.ts';
import type { Child } from '../harness/child.ts';
import { unknownPaths } from '../harness/convergence.ts';
import { untilPeers } from '../harness/finding.ts';
import { LightCluster } from '../harness/light-cluster.ts';
import type { LightNode } from '../harness/light-node.ts';
import type { Host } from '../harness/namespaces.ts';
import { waitFor } from '../harness/wait.ts';
import { whole } from './support/options.ts';
import { loadText, Report } from './support/report.ts';
import { Rounds, type Measured, type Subject } from './support/rounds.ts';
import { median, quantile } from './support/samples.ts';

const AGENTS = 4;
/** Hosts with honest members, eight each: with the agents more than the 20 that keep a record, so that look-ups must ask. */
const MEMBER_HOSTS = 3;
const MEMBERS_OF_HOST = 8;
/** Peers that each agent knows without an attack. */
const HONEST = AGENTS - 1 + MEMBER_HOSTS * MEMBERS_OF_HOST;
/** A limit against hangs, until what an attacker has invented is forgotten. */
const FORGOTTEN_MS = 180_000;
/** Keys that the new node looks for, and that look-ups ask for. */
const KEYS = 20;
/** From then on members are asked first; look-ups cost the same in each round. */
const ESTABLISHED_MS = 32_000;
/** Between the begin of an attack and the measurement, and between its end and what comes next. */
const SETTLE_MS = 4_000;
const JOIN_LIMIT_MS = 60_000;
const AGAIN_MS = 25;

const USUAL = 'usual';
const WITHOUT_KEY = '\u0013/multistream/1.0.0\n';
const CONNECTIONS = program('connections-main.ts');
const IDENTITIES = program('identities-main.ts');

const USAGE = `node e2e/bench/attack.bench.ts [OPTION]...
  --rounds N       each is measured so often, in turn with the others (5)
  --lookups N      look-ups of each kind in a round (100)
  --only WORD      only attacks with this word in their names, beside the usual
`;

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    rounds: { ...text, default: '5' },
    lookups: { ...text, default: '100' },
    only: { ...text, default: '' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit();
}
const lookups = whole(values.lookups);

/** An attack that goes on until it is disposed of. */
type Begin = () => Promise<AsyncDisposable>;

const report = new Report();
const before = loadText();
await using resources = new AsyncDisposableStack();
const cluster = resources.use(
  await LightCluster.create({ nodes: AGENTS, bootstrap: 'first-node' }),
);
const [first, holder] = cluster.nodes as readonly [LightNode, LightNode];
const paths = (await holder.addImage('attacked', KEYS)).slice(0, KEYS);
for (const node of cluster.nodes) node.start();
for (let index = 0; index < MEMBER_HOSTS; index++) {
  report.progress(`starting members, host ${index + 1} of ${MEMBER_HOSTS}`);
  const host = await cluster.network.addHost(`m${index}`);
  const members = await startMembers(host, MEMBERS_OF_HOST, first.host.address);
  resources.defer(async () => {
    await members.stop();
  });
}
const joiner = await cluster.addNode();
cluster.remove(joiner);
const attacker = await cluster.network.addHost('attacker');
await untilPeers(cluster.nodes, HONEST);
await sleep(ESTABLISHED_MS);

const attacks: Readonly<Record<string, Begin>> = {
  [USUAL]: () => Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() }),
  '500 silent connections': () => connections(attacker, 500, ''),
  '1,000 peers without the key': () => connections(attacker, 1000, WITHOUT_KEY),
  'a member that invents 4,000': async () => {
    const liar = await FalseMember.start(attacker, first.host.address);
    await liar.order('dead');
    return liar;
  },
  '80 identities with the key': () => identities(attacker, 80),
};
const subjects = Object.entries(attacks)
  .filter(([name]) => name === USUAL || name.includes(values.only))
  .map(([name, begin]): Subject => ({
    name,
    measure: () => measure(begin),
  }));
const rounds = new Rounds();
await rounds.run(subjects, whole(values.rounds), (said) => {
  report.progress(said);
});
const [usual = { name: '' }] = subjects;
for (const what of ['hit p50', 'hit p99', 'miss p50', 'miss p99', 'join', 'all found']) {
  for (const { name } of subjects) {
    report.add(what, name, rounds.median(name, what), 'ms', ratioOf(name, what));
  }
}
process.stdout.write(
  `\n${cpus().length} cores, load average ${before} before and ${loadText()} after. Medians of ${values.rounds} rounds; of ratios,` +
    ' the median of the ratios of the rounds.\n\n',
);
process.stdout.write(report.table());
report.writeJson();
await resources.disposeAsync();
process.exit();

function ratioOf(name: string, what: string): string {
  if (name === usual.name) return '';
  return `${rounds.ratio(name, usual.name, what).toFixed(2)} x usual`;
}

async function measure(begin: Begin): Promise<Measured> {
  const attack = await begin();
  try {
    await sleep(SETTLE_MS);
    // In turn, so that what happens meanwhile hits both.
    const hits: number[] = [];
    const misses: number[] = [];
    for (let index = 0; index < lookups; index++) {
      hits.push(await timeOf(first, paths[index % KEYS] ?? '', 200));
      misses.push(await timeOf(first, unknownPaths(1)[0] ?? '', 404));
    }
    const joined = await join();
    return {
      'hit p50': median(hits),
      'hit p99': quantile(hits, 0.99),
      'miss p50': median(misses),
      'miss p99': quantile(misses, 0.99),
      ...joined,
    };
  } finally {
    await attack[Symbol.asyncDispose]();
    await joiner.reset();
    await joiner.addImage('joiner', 1);
    await untilPeers(cluster.nodes, HONEST, FORGOTTEN_MS);
    await sleep(SETTLE_MS);
  }
}

async function timeOf(node: LightNode, path: string, expected: number): Promise<number> {
  const { status, ms } = await node.head(path);
  if (status !== expected) throw new Error(`${path} was answered with ${status}`);
  return ms;
}

/** Milliseconds from the start of a new node until it knows others, and until it has found each key. */
async function join(): Promise<Measured> {
  const started = performance.now();
  joiner.start();
  const every = { timeoutMs: JOIN_LIMIT_MS, everyMs: AGAIN_MS };
  await waitFor('the new node knows others', async () => known(joiner), every);
  const joined = performance.now() - started;
  let missing: readonly string[] = paths;
  await waitFor(
    'the new node finds all',
    async () => {
      const left: string[] = [];
      for (const path of missing) if ((await joiner.head(path)).status !== 200) left.push(path);
      missing = left;
      return left.length === 0;
    },
    every,
  );
  return { join: joined, 'all found': performance.now() - started };
}

async function known(node: LightNode): Promise<boolean> {
  return ((await node.directory())?.peers ?? 0) > 0;
}

/** Connections with the node through which the new one joins; each that is ended is opened again. */
async function connections(host: Host, count: number, words: string): Promise<AsyncDisposable> {
  const target = [first.host.address, String(PORTS.router), JSON.stringify(words)];
  const command = [process.execPath, CONNECTIONS, String(count), ...target] as const;
  return await running(host.start('connections', { command }), 'open');
}

/** Members at one host that know only each other. */
async function identities(host: Host, count: number): Promise<AsyncDisposable> {
  const routers = cluster.nodes.map(
    ({ host: { address } }) => `/ip4/${address}/tcp/${PORTS.router}`,
  );
  const words = [String(count), String(PORTS.router), ...routers];
  const command = [process.execPath, IDENTITIES, ...words] as const;
  return await running(host.start('identities', { command, env: agentEnvironment() }), 'joined');
}

async function running(child: Child, word: string): Promise<AsyncDisposable> {
  const timeoutMs = 120_000;
  await waitFor('the attack has begun', async () => (await child.logTail(3)).includes(word), {
    timeoutMs,
  });
  return {
    [Symbol.asyncDispose]: async () => {
      await child.stop();
    },
  };
}

function program(name: string): string {
  return fileURLToPath(new URL(`../attacks/support/${name}`, import.meta.url));
}
