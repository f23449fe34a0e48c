/**
 * What signatures between agents cost: `node e2e/bench/signatures.bench.ts`. The same content through two mirrors, made of the
 * agent's own stages, that sign and verify as members of a closed cluster do, and through two without an identity, in turn. Both
 * mirrors of a pair run in this process, so the share of the signatures is larger than between two machines. Needs no root,
 * no bundle and no containerd.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import { MANIFEST_ACCEPT } from '../../agent/oci/media-type.ts';
import { OciLayoutStore } from '../../agent/store/oci-layout-store.ts';
import { KnownRouter, startMirror } from '../../agent/testing/mirror-node.ts';
import { quiet } from '../../agent/testing/quiet.ts';
import { answer, ask as exchange, reader, signed } from '../../agent/testing/signed-exchange.ts';
import { clusterKeys, makeSigningNode } from '../../agent/testing/signing-nodes.ts';
import { putLargeImage, putSmallImage } from './support/images.ts';
import type { Answered, Downloaded } from './support/load.ts';
import { whole } from './support/options.ts';
import { loadText, Report } from './support/report.ts';
import { median } from './support/samples.ts';
import { Rounds, type Measured, type Subject } from './support/rounds.ts';

const MIB = 1 << 20;
const CONNECTIONS = 32;
const DOWNLOADING = 4;
/** Tag, manifest, config and one layer. */
const KEYS = 4;
/** What `programs/requests.ts` asks before it counts. */
const WARM_UP_S = 0.5;
/** Requests whose signatures are measured without the requests, in each round. */
const EXCHANGES = 20_000;
const WITH = 'signed';
const WITHOUT = 'not signed';
const HOLDER = 'holder';

const USAGE = `node e2e/bench/signatures.bench.ts [OPTION]...
  --rounds N     each is measured so often, in turn with the other (9)
  --seconds N    each measurement (2)
  --size MIB     size of the blob (256)
`;

/** Where the mirror of a pair is that asks the other one. */
interface Pair {
  readonly name: string;
  readonly origin: string;
}

const text = { type: 'string' } as const;
const { values } = parseArgs({
  options: {
    rounds: { ...text, default: '9' },
    seconds: { ...text, default: '2' },
    size: { ...text, default: '256' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit();
}
const rounds = whole(values.rounds);
const seconds = whole(values.seconds);

const before = loadText();
await using resources = new AsyncDisposableStack();
const layout = await mkdtemp(join(tmpdir(), 'signatures-'));
resources.defer(() => rm(layout, { recursive: true }));
const small = await putSmallImage(layout, KEYS);
const large = await putLargeImage(layout, whole(values.size) * MIB);
const byTag = small.find((path) => path.includes('/manifests/') && !path.includes('sha256:')) ?? '';
const byDigest = small.find((path) => path.includes('/manifests/sha256:')) ?? '';
const pairs = [await startPair(WITH, true), await startPair(WITHOUT, false)];
const report = new Report();

await measureSignatures();
await compare('manifest-peer by digest', 'requests/s', (pair) => ask(pair, byDigest));
await compare('manifest-peer by tag', 'requests/s', (pair) => ask(pair, byTag));
await compare('large blob', 'MiB/s', download);
process.stdout.write(
  `\n${cpus().length} cores, load average ${before} before and ${loadText()} after. Medians of ${rounds} rounds. Others may` +
    ' have used the machine: compare within this run only.\n\n',
);
process.stdout.write(report.table());
report.writeJson();
await resources.disposeAsync();
process.exit();

/** All that both nodes do for the signatures of one request and its answer, without the request. */
async function measureSignatures(): Promise<void> {
  const asked = await makeSigningNode(clusterKeys());
  const asker = await makeSigningNode(asked.swarmKeys);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const start = process.cpuUsage();
    for (let count = 0; count < EXCHANGES; count++) {
      const { signature, proof } = exchange(asker, asked);
      if (signature.check(206, reader(signed(proof, 206, answer))) !== 'proven') {
        throw new Error('a signature is not accepted');
      }
    }
    const { user, system } = process.cpuUsage(start);
    times.push((user + system) / EXCHANGES);
  }
  report.add('signatures', 'of a request and its answer, both nodes', median(times), 'us of CPU');
}

/** A mirror that holds the content, and one that asks it. */
async function startPair(name: string, isSigned: boolean): Promise<Pair> {
  const holding = isSigned ? await makeSigningNode(clusterKeys()) : undefined;
  const asking = holding && (await makeSigningNode(holding.swarmKeys));
  const disk = new OciLayoutStore({ path: layout, logger: quiet });
  const holder = resources.use(await startMirror({ disk, ...(holding && { identity: holding }) }));
  const peerId = holding?.peerId ?? HOLDER;
  const router = new KnownRouter([{ peerId, origins: [holder.origin] }]);
  const asker = resources.use(await startMirror({ router, ...(asking && { identity: asking }) }));
  return { name, origin: asker.origin };
}

/** Measures both pairs in turn, and reports their medians and the ratio of each round. */
async function compare(
  figure: string,
  unit: string,
  measure: (pair: Pair) => Promise<Measured>,
): Promise<void> {
  const all = new Rounds();
  const subjects: Subject[] = pairs.map((pair) => ({
    name: pair.name,
    measure: () => measure(pair),
  }));
  await all.run(subjects, rounds, (said) => {
    report.progress(`${figure}: ${said}`);
  });
  for (const { name } of subjects) {
    const cpu = `${all.median(name, 'CPU us').toFixed(0)} us of CPU`;
    report.add(figure, name, all.median(name, 'rate'), unit, cpu);
  }
  report.add(figure, 'signed to not signed', all.ratio(WITH, WITHOUT, 'rate'), 'x');
  report.add(figure, 'the same, CPU', all.ratio(WITH, WITHOUT, 'CPU us'), 'x');
}

async function ask({ origin }: Pair, path: string): Promise<Measured> {
  const url = origin + path;
  const options = { url, connections: CONNECTIONS, seconds, accept: MANIFEST_ACCEPT };
  const [answered, cpu] = await withCpu(() => run<Answered>('requests', options));
  assertAnswered(answered.statuses);
  // The requests of the warm-up are not counted, and cost as much.
  return { rate: answered.perSecond, 'CPU us': cpu / (answered.perSecond * (seconds + WARM_UP_S)) };
}

async function download({ origin }: Pair): Promise<Measured> {
  const options = { url: origin + large, clients: DOWNLOADING, seconds };
  const [downloaded, cpu] = await withCpu(() => run<Downloaded>('downloads', options));
  assertAnswered(downloaded.statuses);
  const mib = downloaded.bytes / MIB;
  return { rate: mib / downloaded.seconds, 'CPU us': cpu / mib };
}

/** With the microseconds of CPU that this process took meanwhile. */
async function withCpu<T>(work: () => Promise<T>): Promise<[T, number]> {
  const start = process.cpuUsage();
  const result = await work();
  const { user, system } = process.cpuUsage(start);
  return [result, user + system];
}

function assertAnswered(statuses: Readonly<Record<string, number>>): void {
  const others = Object.keys(statuses).filter((status) => !/^20[06]$/.test(status));
  if (others.length > 0) throw new Error(`answers without content: ${JSON.stringify(statuses)}`);
}

async function run<T>(program: 'requests' | 'downloads', options: object): Promise<T> {
  const file = fileURLToPath(new URL(`programs/${program}.ts`, import.meta.url));
  const execute = promisify(execFile);
  const { stdout } = await execute(process.execPath, [file, JSON.stringify(options)]);
  return JSON.parse(stdout) as T;
}
