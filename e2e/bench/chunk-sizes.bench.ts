/**
 * What it brings that a node predicts the chunks of its client (`agent/transfer/body/chunk-sizes.ts`): the same fetches
 * through a node that does and one that does not, in turn. `node e2e/bench/chunk-sizes.bench.ts --link 200`. Needs root:
 * two holders, and a node with its client, each in a network namespace of its own. Needs no containerd.
 */
import { createHash, randomFillSync } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Network, type Host } from '../harness/namespaces.ts';
import { runDirectory } from '../harness/run.ts';
import type { FetchInit } from './programs/parallel-fetch.ts';
import type { HolderInit, NodeInit } from './programs/mirror.ts';
import { whole } from './support/options.ts';
import { totalCpuMs } from './support/proc.ts';
import { Program } from './support/program.ts';
import { loadText, Report } from './support/report.ts';
import { Rounds, type Measured, type Subject } from './support/rounds.ts';
import { sum } from './support/samples.ts';

const MIB = 1 << 20;
const HOLDERS = 2;
const WITH = 'with prediction';
const WITHOUT = 'without';

/** How clients fetch: the bench of containerd itself has four streams of 8 MiB. */
const CLIENTS = [
  { streams: 4, chunkMib: 8 },
  { streams: 8, chunkMib: 1 },
] as const;

const USAGE = `node e2e/bench/chunk-sizes.bench.ts [OPTION]...
  --link MBIT,...   what each holder may send, one after the other; 0: no limit (0,1000,200)
  --size MIB        size of the blob (256)
  --rounds N        each is measured so often, in turn with the other (5)
`;

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    link: { ...text, default: '0,1000,200' },
    size: { ...text, default: '256' },
    rounds: { ...text, default: '5' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit();
}
const links = values.link
  .split(',')
  .map(Number)
  .sort((one, other) => one - other);
const size = whole(values.size) * MIB;
const rounds = whole(values.rounds);

const mirrorProgram = new URL('programs/mirror.ts', import.meta.url);
const clientProgram = new URL('programs/parallel-fetch.ts', import.meta.url);
const report = new Report();
const loadBefore = loadText();

await using network = await Network.create();
const { folder, digest } = await makeLayout(size);
const holders: { readonly host: Host; readonly program: Program; readonly origin: string }[] = [];
await using programs = new AsyncDisposableStack();
for (let index = 0; index < HOLDERS; index += 1) {
  const host = await network.addHost(`h${index}`);
  const program = programs.use(new Program(mirrorProgram, host.namespace));
  const init: HolderInit = { host: host.address, path: folder };
  holders.push({ host, program, origin: String(await program.ask('holder', init)) });
}
const asker = await network.addHost('asker');

// Without a limit first: there is none to lift then.
for (const link of links) {
  if (link > 0) for (const { host } of holders) await host.limitUpload(link);
  for (const client of CLIENTS) await compare(link, client);
}
process.stdout.write(
  `\n${cpus().length} cores, load average ${loadBefore} before and ${loadText()} after. A blob of ${size / MIB} MiB,` +
    ` ${HOLDERS} holders, medians of ${rounds} rounds; of ratios, the median of the ratios of the rounds.\n\n`,
);
process.stdout.write(report.table());

async function compare(link: number, client: (typeof CLIENTS)[number]): Promise<void> {
  const figure = `${client.streams} x ${client.chunkMib} MiB, ${link === 0 ? 'no limit' : `${link} Mbit/s`}`;
  const subject = (name: string, predicts: boolean): Subject => ({
    name,
    measure: () => measure(client, predicts),
  });
  const taken = new Rounds();
  await taken.run([subject(WITH, true), subject(WITHOUT, false)], rounds, (said) => {
    report.progress(`${figure}: ${said}`);
  });
  for (const what of ['sent to used', 'connections', 'seconds', 'CPU seconds']) {
    for (const name of [WITH, WITHOUT]) {
      report.add(figure, `${what}, ${name}`, taken.median(name, what), '');
    }
    report.add(figure, `${what}, with to without`, taken.ratio(WITH, WITHOUT, what), 'x');
  }
}

/** One fetch through a node that has just been started, and knows neither the client nor the holders. */
async function measure(
  { streams, chunkMib }: (typeof CLIENTS)[number],
  predicts: boolean,
): Promise<Measured> {
  await using node = new Program(mirrorProgram, asker.namespace);
  await using client = new Program(clientProgram, asker.namespace);
  const init: NodeInit = {
    host: asker.address,
    holders: holders.map(({ origin }) => origin),
    predicts,
  };
  const mirror = String(await node.ask('node', init));
  const path = `/v2/team/app/blobs/${digest}`;
  const fetch: FetchInit = { mirror, path, size, chunkBytes: chunkMib * MIB, streams };
  const agents = [node.pid, ...holders.map(({ program }) => program.pid)];
  const [sent, accepted, cpu] = [await bytesSent(), await connections(), await totalCpuMs(agents)];
  const milliseconds = Number(await client.ask('fetch', fetch));
  return {
    'sent to used': ((await bytesSent()) - sent) / size,
    connections: (await connections()) - accepted,
    seconds: milliseconds / 1000,
    'CPU seconds': ((await totalCpuMs(agents)) - cpu) / 1000,
  };
}

/** Bytes that have left the holders' network interfaces. */
async function bytesSent(): Promise<number> {
  return sum(await Promise.all(holders.map(({ host }) => host.bytesSent())));
}

/** Connections that the holders have accepted. */
async function connections(): Promise<number> {
  const counts = holders.map(async ({ host }) => {
    const snmp = await host.execute(['cat', '/proc/net/snmp']);
    const [names = [], numbers = []] = snmp
      .split('\n')
      .filter((line) => line.startsWith('Tcp:'))
      .map((line) => line.split(' '));
    return Number(numbers[names.indexOf('PassiveOpens')]);
  });
  return sum(await Promise.all(counts));
}

/** An OCI image layout with one blob of random bytes, in the folder of the run. */
async function makeLayout(bytes: number): Promise<{ folder: string; digest: string }> {
  const folder = join(runDirectory(), 'layout');
  await mkdir(join(folder, 'blobs', 'sha256'), { recursive: true });
  const blob = randomFillSync(Buffer.alloc(bytes));
  const hex = createHash('sha256').update(blob).digest('hex');
  await writeFile(join(folder, 'blobs', 'sha256', hex), blob);
  return { folder, digest: `sha256:${hex}` };
}
