import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { formatSwarmKey, newSwarmKey } from '../../agent/membership/swarm-key.ts';
import { buildImage } from '../images/image.ts';
import { statusOf, startDemoAgent, stopDemoAgent, type DemoAgent } from './demo-agent.ts';
import { pullImage, type PulledBlob } from './pull.ts';

const IMAGE = { registry: 'registry.example', repository: 'demo/app', tag: '1.0' };
const NAME = `${IMAGE.registry}/${IMAGE.repository}:${IMAGE.tag}`;
const MIB = 1024 * 1024;
const LAYER_BYTES = [24 * MIB, 12 * MIB, 6 * MIB, 2 * MIB, 256 * 1024];

// Systems other than Linux have one loopback address. The ports differ in any case.
const HOSTS =
  process.platform === 'linux'
    ? ['127.0.0.11', '127.0.0.12', '127.0.0.13']
    : ['127.0.0.1', '127.0.0.1', '127.0.0.1'];

const keep = process.argv.includes('--keep');
const unknown = process.argv.slice(2).filter((word) => word !== '--keep');
if (unknown.length > 0) {
  process.stderr.write(`demo: unknown argument ${unknown.join(' ')}; there is only --keep\n`);
  process.exit(2);
}

const folder = await mkdtemp(join(tmpdir(), 'peerglass-demo-'));
const agents: DemoAgent[] = [];
let finished = false;
try {
  await run();
  finished = true;
} finally {
  if (keep && finished) {
    printAddresses();
  } else {
    await Promise.all(agents.map(stopDemoAgent));
    await rm(folder, { recursive: true, force: true });
  }
}
process.exit(0);

async function run(): Promise<void> {
  print('Three agents on loopback, each with its own image folder, and no registry.\n\n');
  const folders = HOSTS.map((_, index) => join(folder, `node-${index + 1}`));
  const [first = '', second = '', third = ''] = folders.map((path) => join(path, 'layout'));
  for (const path of [first, second, third]) {
    await mkdir(join(path, 'blobs/sha256'), { recursive: true });
  }
  const layers = LAYER_BYTES.map((bytes) => ({ bytes, compression: 'none' as const }));
  const image = await buildImage(first, { name: NAME, layers });
  // Node 3 needs both, because neither node 1 nor node 2 has all of it.
  const [manifest] = image.manifests;
  for (const { descriptor } of manifest?.layers.slice(1, 3) ?? []) {
    const file = join('blobs/sha256', descriptor.digest.slice('sha256:'.length));
    await rename(join(first, file), join(second, file));
  }
  print(
    `Image ${NAME}: ${image.blobs.length} blobs. Node 1 holds all but two layers, which node 2 holds.\n`,
  );

  const swarmKey = join(folder, 'swarm.key');
  await writeFile(swarmKey, formatSwarmKey(newSwarmKey()), { mode: 0o600 });
  for (const [index, host] of HOSTS.entries()) {
    // Each agent knows only the one before it, and finds the others by the DHT.
    const peers = agents.slice(-1);
    const init = { name: `node ${index + 1}`, host, folder: folders[index] ?? '', peers, swarmKey };
    agents.push(await startDemoAgent({ ...init, detached: keep }));
  }
  const [, , puller] = agents;
  if (puller === undefined) throw new Error('unreachable: three agents were started');
  await untilAdvertised(image.blobs.length + 1);

  print('\nNode 3 pulls the image through its own agent:\n\n');
  const start = performance.now();
  const pulled = await pullImage(puller.mirror, IMAGE, puller.layout);
  report(pulled, performance.now() - start);
  await untilAdvertised(2 * (image.blobs.length + 1));
  print('Node 3 now advertises what it pulled: every blob has two holders.\n');
}

/** Waits until the agents together advertise this number of keys, and know each other. */
async function untilAdvertised(keys: number): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const states = await Promise.all(agents.map(statusOf));
    const advertised = states.reduce((sum, { directory }) => sum + directory.advertisedKeys, 0);
    const peers = Math.min(...states.map(({ directory }) => directory.peers));
    if (advertised >= keys && peers >= agents.length - 1) return;
    if (Date.now() > deadline) {
      throw new Error(`${advertised} of ${keys} keys advertised, ${peers} peers known`);
    }
    await delay(50);
  }
}

function report(pulled: readonly PulledBlob[], milliseconds: number): void {
  const nameOf = (source: string): string =>
    agents.find(({ mirror }) => mirror === source)?.name ?? source;
  const row = (cells: readonly string[]): string =>
    `  ${[9, 21, 14, 11, 9].map((width, at) => (at < 3 ? (cells[at] ?? '').padEnd(width) : (cells[at] ?? '').padStart(width))).join('')}\n`;
  print(row(['what', 'digest', 'served by', 'bytes', 'ms']));
  for (const { what, digest, source, bytes, milliseconds: took } of pulled) {
    print(row([what, `${digest.slice(0, 18)}…`, nameOf(source), String(bytes), took.toFixed(0)]));
  }
  const bytes = pulled.reduce((sum, blob) => sum + blob.bytes, 0);
  print(
    `\nEvery digest verified: ${pulled.length} blobs, ${(bytes / MIB).toFixed(1)} MiB in ${milliseconds.toFixed(0)} ms.\n`,
  );
}

function printAddresses(): void {
  print('\nThe agents keep running (--keep):\n\n');
  for (const { name, mirror, metrics, layout } of agents) {
    print(`  ${name}  mirror ${mirror}/v2/  metrics ${metrics}/metrics\n`);
    print(`          state ${metrics}/debug/status\n          images ${layout}\n`);
  }
  const [, , { mirror } = { mirror: '' }] = agents;
  const { registry, repository, tag } = IMAGE;
  print(`\nAsk one:   curl '${mirror}/v2/${repository}/manifests/${tag}?ns=${registry}'\n`);
  const ids = agents.map(({ process: child }) => String(child.pid)).join(' ');
  print(`End them:  kill ${ids} && rm -r ${folder}\n`);
  for (const { process: child } of agents) child.unref();
}

function print(text: string): void {
  process.stdout.write(text);
}
