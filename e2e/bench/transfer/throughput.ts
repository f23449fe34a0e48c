import { fileURLToPath } from 'node:url';

import { blobPathOf } from '../../harness/mirror.ts';
import { waitFor } from '../../harness/wait.ts';
import {
  byCurl,
  compare,
  CpuMeter,
  RATE,
  take,
  verify,
  type Server,
} from '../support/byte-rate.ts';
import { download } from '../support/load.ts';
import type { Report } from '../support/report.ts';
import type { Measured, Subject } from '../support/rounds.ts';
import { atMirror, atOwnMirror, layerOf, type TransferStage } from '../support/transfer-stage.ts';

const MIB = 1 << 20;
const CLIENTS = 64;
const NAIVE_PROXY = fileURLToPath(new URL('../programs/naive-proxy.ts', import.meta.url));
const NAIVE_PORT = 8081;

/** How the figures are taken. */
export interface ThroughputInit {
  readonly rounds: number;
  readonly seconds: number;
}

/** A layer of 1 GiB from the disk of one node to a client on another: the agent, nginx and docker-registry. */
export async function measureServing(
  stage: TransferStage,
  report: Report,
  { rounds }: ThroughputInit,
): Promise<void> {
  const servers = await servedBy(stage);
  await verify(servers, stage.client, layerOf(await stage.large()).digest);
  const subjects = servers.map((server) => byCurl(server, stage.client));
  const taken = await take(report, 'serve', subjects, rounds);
  compare(report, 'serve', taken, 'agent', 'nginx', { rate: '0.95', cpu: '1.0' });
  compare(report, 'serve', taken, 'agent', 'docker-registry');
}

/** The same, to many clients at once for some seconds. */
export async function measureManyClients(
  stage: TransferStage,
  report: Report,
  { rounds, seconds }: ThroughputInit,
): Promise<void> {
  const servers = await servedBy(stage);
  const subjects = servers.map(({ name, url, pids }): Subject => {
    const measure = async (): Promise<Measured> => {
      const meter = await CpuMeter.start(pids);
      const { bytes, ...taken } = await download(stage.client, { url, clients: CLIENTS, seconds });
      const cpu = await meter.perGib(bytes);
      return { [RATE]: bytes / MIB / taken.seconds, ...cpu, served: taken.servedClients };
    };
    return { name, measure };
  });
  const taken = await take(report, 'serve64', subjects, rounds);
  report.add('serve64', 'clients served by the agent', taken.least('agent', 'served'), '', 'of 64');
  compare(report, 'serve64', taken, 'agent', 'nginx', { rate: '0.9' });
  compare(report, 'serve64', taken, 'agent', 'docker-registry');
}

/**
 * The layer from one node's disk through another one to a client there: two agents, nginx that passes on to nginx,
 * and the naive program that passes on to nginx. The CPU is that of both hops.
 */
export async function measureProxying(
  stage: TransferStage,
  report: Report,
  { rounds }: ThroughputInit,
): Promise<void> {
  const servers = await proxiedBy(stage);
  const subjects = servers.map((server) => byCurl(server, stage.b.host));
  const taken = await take(report, 'proxy', subjects, rounds);
  compare(report, 'proxy', taken, 'two agents', 'nginx', { rate: '1.5', cpu: '0.6' });
  compare(report, 'proxy', taken, 'two agents', 'naive');
}

/** The same, but whole, so that the agent hashes it for a client that it does not know to verify it. */
export async function measureWholeProxying(
  stage: TransferStage,
  report: Report,
  { rounds }: ThroughputInit,
): Promise<void> {
  const servers = await proxiedBy(stage);
  const subjects = servers.map((server) => byCurl(server, stage.b.host, []));
  const taken = await take(report, 'proxy-whole', subjects, rounds);
  compare(report, 'proxy-whole', taken, 'two agents', 'nginx', { rate: '0.8', cpu: '1.6' });
  compare(report, 'proxy-whole', taken, 'two agents', 'naive');
}

/** The ways of the layer from the disk of `a` over `b`, checked. */
async function proxiedBy(stage: TransferStage): Promise<readonly Server[]> {
  const { a, b } = stage;
  const image = await stage.large();
  const { digest } = layerOf(image);
  const [nginx, proxy] = [await stage.nginx(), await stage.nginxProxy()];
  const naive = await stage.once('naive', async () => {
    const command = [process.execPath, NAIVE_PROXY, String(NAIVE_PORT), nginx.origin] as const;
    const child = b.host.start('naive', { command: [...command] });
    await waitFor('the naive proxy answers', async () => {
      return (await b.host.fetch(`http://127.0.0.1:${NAIVE_PORT}/`)).status > 0;
    });
    return child;
  });
  const file = digest.replace(':', '/');
  const servers: Server[] = [
    {
      name: 'two agents',
      url: atOwnMirror(blobPathOf(image, digest)),
      pids: [a.agent.pid, b.agent.pid],
    },
    { name: 'nginx', url: `http://127.0.0.1:8080/${file}`, pids: [nginx.pid, proxy.pid] },
    {
      name: 'naive',
      url: `http://127.0.0.1:${NAIVE_PORT}/${file}`,
      pids: [nginx.pid, naive.pid],
    },
  ];
  await verify(servers, b.host, digest);
  return servers;
}

async function servedBy(stage: TransferStage): Promise<readonly Server[]> {
  const { a, upstream } = stage;
  const image = await stage.large();
  const nginx = await stage.nginx();
  const { digest } = layerOf(image);
  return [
    { name: 'agent', url: atMirror(a, blobPathOf(image, digest)), pids: [a.agent.pid] },
    { name: 'nginx', url: `${nginx.origin}/${digest.replace(':', '/')}`, pids: [nginx.pid] },
    {
      name: 'docker-registry',
      url: `${upstream.origin}/v2/bench/large/blobs/${digest}`,
      pids: [upstream.pid],
    },
  ];
}
