import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Child } from '../../harness/child.ts';
import type { ContainerdNode } from '../../harness/containerd-node.ts';
import { installPackages, missingPackages } from '../../harness/debian.ts';
import { writeHostsToml } from '../../harness/hosts-toml.ts';
import type { Host } from '../../harness/namespaces.ts';
import { waitFor } from '../../harness/wait.ts';
import { pushFreshImage, type FreshImage } from '../fan-out/images.ts';
import { linkName } from '../fan-out/options.ts';
import { seededRandom } from '../fan-out/random.ts';
import { rollOut } from '../fan-out/roll-out.ts';
import { Topology } from '../fan-out/topology.ts';
import { machineBusyMs } from '../support/proc.ts';
import type { Report } from '../support/report.ts';
import { median, quantile } from '../support/samples.ts';
import { arrivedAt, bodiesOf, readSegments, type Arrived } from './capture.ts';
import type { PartsOptions } from './options.ts';

/** Of mirrors and of the registry. */
const PORT = 5000;
/** Enough for the head of an answer, which is signed. */
const SNAPSHOT_BYTES = 2048;
/** The delay is taken of one byte in so many. */
const EVERY_BYTES = 64 * 1024;
/** The part of the content of which it is not taken: a follower that came later still receives what its parent had by then. */
const SKIPPED_PART = 1 / 4;
const SPREAD_MS = 300;
const LIMIT_MS = 120_000;
/** What tcpdump has not written yet. */
const FLUSH_MS = 300;

/** Delays of one kind of hop, in milliseconds. */
interface Delays {
  /** Of one byte in {@link EVERY_BYTES}. */
  readonly bytes: number[];
  /** Of each hop, how long the follower waits for its first byte, since it follows and the parent has a byte. */
  readonly starts: number[];
}

/** From the node that fetches, and from one that follows itself. */
type Hop = 'first' | 'later';

/**
 * The delay of a hop: from the moment at which a byte of the layer has come through the network device of a node until it comes
 * through that of the node which follows it. A fresh image is pulled by all nodes at once, as by `fan-out.bench.ts`, and tcpdump
 * listens at each node. So the delay has the agent or the containerd of the parent in it, its link out, and the link into
 * the follower.
 */
export async function measureHops(report: Report, options: PartsOptions): Promise<void> {
  await installPackages(await missingPackages(['tcpdump']));
  const { nodes, suite, seconds } = options;
  report.progress(`starting ${nodes} nodes`);
  await using topology = await Topology.open(
    { nodes, suite, parallelFetchBytes: 0, throttle: undefined },
    true,
  );
  await topology.agents.use('on');
  const { registry, origin } = topology.upstream;
  for (const { certsDir } of topology.nodes) await writeHostsToml(certsDir, registry, origin);
  for (const link of options.links) {
    const figure = `hops, ${linkName(link)}`;
    await topology.shape(link);
    const delays = { first: noDelays(), later: noDelays() };
    const layerBytes = Math.round((link.upstream * seconds * 1e6) / 8);
    for (let round = 1; round <= options.rounds; round++) {
      report.progress(`${figure}: round ${round}`);
      await measure(topology, report, figure, layerBytes, delays);
    }
    addDelays(report, figure, 'from the node that fetches', delays.first);
    addDelays(report, figure, 'from a node that follows', delays.later);
  }
}

async function measure(
  topology: Topology,
  report: Report,
  figure: string,
  layerBytes: number,
  delays: Readonly<Record<Hop, Delays>>,
): Promise<void> {
  const { nodes, upstream } = topology;
  const image = await pushFreshImage(upstream, { layers: 1, layerBytes });
  const captures: Capture[] = [];
  for (const { host } of nodes) captures.push(await Capture.start(host));
  const [busy, begin] = [await machineBusyMs(), performance.now()];
  await pullOnAll(nodes, image);
  const share = ((await machineBusyMs()) - busy) / (performance.now() - begin);
  await sleep(FLUSH_MS);
  const arrived = new Map<string, readonly Arrived[]>();
  for (const [index, capture] of captures.entries()) {
    const address = nodes[index]?.host.address ?? '';
    arrived.set(address, bodiesOf(readSegments(await capture.stop()), layerBytes));
  }
  await topology.forget(image.name);
  const levels = addHops(arrived, delays, layerBytes);
  report.add(figure, 'CPU of the machine', share * 100, '% of a core', `followers of: ${levels}`);
}

async function pullOnAll(nodes: readonly ContainerdNode[], image: FreshImage): Promise<void> {
  const outcomes = await rollOut(nodes, image, {
    spreadMs: SPREAD_MS,
    waveShare: 1,
    limitMs: LIMIT_MS,
    random: seededRandom(1),
    isLost: () => false,
  });
  const failed = outcomes.filter(({ held }) => held === undefined);
  if (failed.length > 0) throw new Error(`${failed.length} nodes have not got the image`);
}

/**
 * Takes the delays of all bodies that came from another node.
 *
 * @returns who followed whom, for people
 */
function addHops(
  arrived: ReadonlyMap<string, readonly Arrived[]>,
  delays: Readonly<Record<Hop, Delays>>,
  size: number,
): string {
  const pairs = new Set<string>();
  for (const [address, bodies] of arrived) {
    for (const body of bodies) {
      const ofParent = arrived.get(body.from);
      // From the registry.
      if (ofParent === undefined) continue;
      pairs.add(`${lastByte(address)} of ${lastByte(body.from)}`);
      const first = whenArrived(ofParent, body.start + 1);
      const here = arrivedAt(body, body.start + 1);
      if (first === undefined || here === undefined) continue;
      const { bytes, starts } = delays[arrived.has(first.from) ? 'later' : 'first'];
      starts.push(here - Math.max(body.headAt, first.at));
      const end = Math.min(size, body.steps.at(-1)?.[1] ?? 0);
      const begin = Math.max(body.start, size * SKIPPED_PART);
      for (let offset = Math.ceil(begin); offset <= end; offset += EVERY_BYTES) {
        const [there, now] = [whenArrived(ofParent, offset)?.at, arrivedAt(body, offset)];
        if (there !== undefined && now !== undefined) bytes.push(now - there);
      }
    }
  }
  return [...pairs].join(', ');
}

/** When a node had this byte first, and from where. */
function whenArrived(
  bodies: readonly Arrived[],
  offset: number,
): { readonly at: number; readonly from: string } | undefined {
  for (const body of bodies) {
    const at = body.start < offset ? arrivedAt(body, offset) : undefined;
    if (at !== undefined) return { at, from: body.from };
  }
  return undefined;
}

function lastByte(address: string): string {
  return address.split('.').at(-1) ?? '';
}

function noDelays(): Delays {
  return { bytes: [], starts: [] };
}

function addDelays(report: Report, figure: string, from: string, { bytes, starts }: Delays): void {
  report.add(figure, `${from}: p50`, quantile(bytes, 0.5), 'ms', `of ${bytes.length} bytes`);
  report.add(figure, `${from}: p99`, quantile(bytes, 0.99), 'ms');
  report.add(figure, `${from}: longest`, quantile(bytes, 1), 'ms');
  report.add(figure, `${from}: first byte, median`, median(starts), 'ms', `${starts.length} hops`);
  report.add(figure, `${from}: first byte, longest`, quantile(starts, 1), 'ms');
}

/** tcpdump on a machine: the answers of mirrors and of the registry that come to it. */
class Capture {
  readonly #child: Child;
  readonly #file: string;

  private constructor(child: Child, file: string) {
    this.#child = child;
    this.#file = file;
  }

  static async start(host: Host): Promise<Capture> {
    const file = join(host.directory, 'arriving.pcap');
    const child = host.start('tcpdump', {
      command: [
        'tcpdump',
        ...['-i', 'eth0', '-w', file, '-s', String(SNAPSHOT_BYTES), '-B', '16384'],
        // As root it would write as another user, whom the folder does not belong to.
        ...['--time-stamp-precision=nano', '-Z', 'root', '-n'],
        `tcp and src port ${PORT} and dst host ${host.address}`,
      ],
    });
    await waitFor('tcpdump listens', async () => (await child.logTail()).includes('listening on'));
    return new Capture(child, file);
  }

  /** Ends it, and gives its file. */
  async stop(): Promise<Buffer> {
    await this.#child.stop();
    const dropped = /(\d+) packets dropped by kernel/.exec(await this.#child.logTail())?.[1];
    if (dropped !== '0') throw new Error(`tcpdump: ${await this.#child.logTail()}`);
    const bytes = await readFile(this.#file);
    await rm(this.#file);
    return bytes;
  }
}
