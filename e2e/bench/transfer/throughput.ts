import { fileURLToPath } from 'node:url';

import { blobPathOf } from '../../harness/mirror.ts';
import type { Host } from '../../harness/namespaces.ts';
import { waitFor } from '../../harness/wait.ts';
import { download } from '../support/load.ts';
import { machineBusyMs, treeCpuMs } from '../support/proc.ts';
import type { Report } from '../support/report.ts';
import { Rounds, type Measured, type Subject } from '../support/rounds.ts';
import { atMirror, atOwnMirror, layerOf, type TransferStage } from '../support/transfer-stage.ts';
import { PART } from '../support/part.ts';

const MIB = 1 << 20;
const GIB = 1 << 30;
const CLIENTS = 64;
const NAIVE_PROXY = fileURLToPath(new URL('../programs/naive-proxy.ts', import.meta.url));
const NAIVE_PORT = 8081;
const RATE = 'MiB/s';
const CPU = 'CPU s/GiB';
const MACHINE = 'machine s/GiB';

/** A server that has the layer. */
interface Server {
  readonly name: string;
  readonly url: string;
  /** Processes whose CPU counts, with their children. */
  readonly pids: readonly number[];
}

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

/** What is compared must be the same: all of it, once, which fills the page cache too. */
async function verify(servers: readonly Server[], from: Host, digest: string): Promise<void> {
  for (const { name, url } of servers) {
    const command = ['sh', '-c', `curl -sSf "$0" | sha256sum`, url] as const;
    const [hex = ''] = (await from.execute(command)).split(' ');
    if (`sha256:${hex}` !== digest) throw new Error(`wrong bytes from ${name}: sha256:${hex}`);
  }
}

function byCurl({ name, url, pids }: Server, from: Host, headers = ['-H', PART]): Subject {
  const format = '%{size_download} %{time_total}';
  const measure = async (): Promise<Measured> => {
    const meter = await CpuMeter.start(pids);
    const output = await from.execute([
      'curl',
      '-sSf',
      ...headers,
      '-o',
      '/dev/null',
      '-w',
      format,
      url,
    ]);
    const [bytes = NaN, seconds = NaN] = output.split(' ').map(Number);
    return { [RATE]: bytes / MIB / seconds, ...(await meter.perGib(bytes)) };
  };
  return { name, measure };
}

/** CPU time from its start on. */
class CpuMeter {
  readonly #pids: readonly number[];
  readonly #before: readonly [number, number];

  private constructor(pids: readonly number[], before: readonly [number, number]) {
    this.#pids = pids;
    this.#before = before;
  }

  static async start(pids: readonly number[]): Promise<CpuMeter> {
    return new CpuMeter(pids, [await treeCpuMs(pids), await machineBusyMs()]);
  }

  /**
   * Seconds a GiB. Once a process has handed its bytes over, the kernel accounts its work to the process that runs at
   * that moment. Only the time of the whole machine, with the client, has all of it.
   */
  async perGib(bytes: number): Promise<Measured> {
    const [processes, machine] = this.#before;
    const gib = bytes / GIB;
    return {
      [CPU]: ((await treeCpuMs(this.#pids)) - processes) / 1000 / gib,
      [MACHINE]: ((await machineBusyMs()) - machine) / 1000 / gib,
    };
  }
}

async function take(
  report: Report,
  figure: string,
  subjects: readonly Subject[],
  rounds: number,
): Promise<Rounds> {
  const taken = new Rounds();
  await taken.run(subjects, rounds, (text) => {
    report.progress(`${figure}: ${text}`);
  });
  for (const { name } of subjects) {
    report.add(figure, `${name}, throughput`, taken.median(name, RATE), RATE);
    const machine = `whole machine, client included: ${taken.median(name, MACHINE).toFixed(2)}`;
    report.add(figure, `${name}, CPU`, taken.median(name, CPU), 's/GiB', machine);
  }
  return taken;
}

function compare(
  report: Report,
  figure: string,
  taken: Rounds,
  ours: string,
  peer: string,
  goal: { readonly rate?: string; readonly cpu?: string } = {},
): void {
  const atLeast = goal.rate === undefined ? '' : `goal: at least ${goal.rate}`;
  const atMost = goal.cpu === undefined ? '' : `goal: at most ${goal.cpu}`;
  const [rate, cpu] = [taken.ratio(ours, peer, RATE), taken.ratio(ours, peer, CPU)];
  const machine = taken.ratio(ours, peer, MACHINE);
  report.add(figure, `throughput, ${ours} to ${peer}`, rate, 'x', atLeast);
  report.add(figure, `CPU, ${ours} to ${peer}`, cpu, 'x', atMost);
  report.add(figure, `CPU of the machine, ${ours} to ${peer}`, machine, 'x');
}
