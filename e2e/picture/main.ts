/**
 * Draws docs/dashboard.svg: `node e2e/picture/main.ts`, as root, in three minutes. Three agents with their containerd
 * pull from each other, Debian's Prometheus scrapes them, and its answers to the queries of the dashboard are drawn.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { PORTS } from '../harness/agent-process.ts';
import { Cluster } from '../harness/cluster.ts';
import { makeImage, REGISTRY } from '../harness/fixtures.ts';
import { writeHostsToml } from '../harness/hosts-toml.ts';
import { headStatus, waitUntilVisible } from '../harness/mirror.ts';
import { preflight } from '../harness/preflight.ts';
import { Prometheus, staticTargets } from '../harness/prometheus.ts';
import { askAll } from './answers.ts';
import { drawDashboard } from './draw.ts';

const FILE = join(import.meta.dirname, '../../docs/dashboard.svg');
/** What is shown, in seconds; the first rates need some scrapes before it. */
const SHOWN = 120;
const BEFORE = 20;

const machine = await preflight();
if (!machine.ok) throw new Error(machine.reason);

await using cluster = await Cluster.start(
  ['node-a', 'node-b', 'node-c'].map((name) => ({ suite: 'bookworm', name })),
);
const upstream = await cluster.addUpstream();
for (const { containerd } of cluster.nodes) {
  await writeHostsToml(containerd.certsDir, upstream.registry, upstream.origin);
}
// One of them fetches from the registry itself, and the others leave that to their containerd.
await cluster.node('node-c').agent.restart({ flags: ['--upstream', upstream.origin], env: {} });
const host = await cluster.network.addHost('prometheus');
await Prometheus.start({
  host,
  scrapeConfigs: staticTargets(
    cluster.nodes.map((node) => `${node.host.address}:${PORTS.metrics}`),
  ),
  targets: cluster.nodes.length,
  rules: [],
});
const begin = Date.now() / 1_000;
for (let round = 1; Date.now() / 1_000 < begin + BEFORE + SHOWN; round += 1) await load(round);
const to = Math.floor(Date.now() / 1_000);
const span = { from: to - SHOWN, to };
const svg = drawDashboard(await askAll(host, span), {
  caption: `Drawn from the answers of a real Prometheus to the queries of the dashboard: ${cluster.nodes.length} agents, ${SHOWN / 60} minutes of pulls, on one machine. Grafana draws the same queries.`,
  span,
});
writeFileSync(FILE, svg);
process.stdout.write(`${FILE}: ${Math.round(svg.length / 1024)} KiB\n`);

/**
 * Brings a new image onto one node, pulls it on the two others, and requests an image without a holder from them. Some
 * images are removed again. Then all pull a fresh image from the registry at once.
 */
async function load(round: number): Promise<void> {
  const { nodes } = cluster;
  const holder = nodes[round % nodes.length];
  const others = nodes.filter((node) => node !== holder);
  if (holder === undefined) throw new Error('a cluster without nodes');
  const name = `${REGISTRY}/team/app:${round}.0`;
  const bytes = 2_000_000 + (round % 5) * 8_000_000;
  const { image, archive } = await makeImage({ name, layers: [{ bytes }, { bytes: 500_000 }] });
  await holder.containerd.importArchive(archive);
  for (const { agent, containerd } of others) {
    await waitUntilVisible(agent, image);
    await containerd.pullWithCtr(name);
  }
  const unknown = `/v2/team/new/manifests/${round}.0?ns=${REGISTRY}`;
  for (const { agent } of others) await headStatus(agent, unknown);
  if (round % 3 === 0) await holder.containerd.removeImage();
  const fresh = await makeImage({
    name: `${upstream.registry}/team/fresh:${round}.0`,
    layers: [{ bytes: 12_000_000, compression: 'none' }],
  });
  await upstream.push(fresh.layout, fresh.image);
  await Promise.all(nodes.map(({ containerd }) => containerd.pullWithCri(fresh.image.name)));
  await delay(500);
}
