import { setTimeout as sleep } from 'node:timers/promises';

import { agentEnvironment, PORTS, type AgentProcess } from '../../harness/agent-process.ts';
import type { ContainerdNode } from '../../harness/containerd-node.ts';
import { CriClient } from '../../harness/cri.ts';
import { writeHostsToml } from '../../harness/hosts-toml.ts';
import { waitFor } from '../../harness/wait.ts';
import { pushFreshImage, type FreshImage } from '../fan-out/images.ts';
import { Topology } from '../fan-out/topology.ts';
import { MemorySampler } from '../support/memory-sampler.ts';
import { memory, type Memory } from '../support/proc.ts';
import { Program } from '../support/program.ts';
import type { Report } from '../support/report.ts';
import type { FollowOrder, FollowResult } from './following.ts';
import type { PartsOptions } from './options.ts';

const FOLLOWERS = new URL('../programs/followers.ts', import.meta.url);
const BLOBS = 3;
/** The links of the nodes are faster than 24 followers together need. */
const LINKS = { node: 1000, upstream: 50 } as const;
const SLOW_PART = 1 / 4;
const LOOK_MS = 200;
const LIMIT_MS = 120_000;
const MIB = 1 << 20;

/** A case: how the parent gets the blobs, and how many of the followers of each are slow. */
interface MemoryCase {
  readonly name: string;
  readonly parentFollows: boolean;
  readonly slow: number;
}

/**
 * Memory of an agent while three blobs arrive at its node and each is followed by many. The followers ask this node without an
 * arbiter. Either its containerd gets the blobs from the registry, or the node follows another one, and its agent forwards them.
 */
export async function measureFollowedMemory(report: Report, options: PartsOptions): Promise<void> {
  report.progress('starting 2 nodes and the followers');
  const { suite, followers, slow } = options;
  await using topology = await Topology.open(
    { nodes: 2, suite, parallelFetchBytes: 0, throttle: undefined },
    true,
  );
  const { namespace } = await topology.addHost('followers');
  await using program = new Program(FOLLOWERS, namespace);
  await topology.shape(LINKS);
  await topology.agents.use('on');
  const { registry, origin } = topology.upstream;
  for (const { certsDir } of topology.nodes) await writeHostsToml(certsDir, registry, origin);
  const cases: readonly MemoryCase[] = [false, true].flatMap((parentFollows) =>
    [0, slow].map((slowOnes) => ({
      name: `${parentFollows ? 'a node that follows' : 'the node that fetches'}, ${slowOnes} of ${followers} slow`,
      parentFollows,
      slow: slowOnes,
    })),
  );
  for (const each of cases) {
    report.progress(`memory: ${each.name}`);
    await measure(topology, program, report, options, each);
  }
}

async function measure(
  topology: Topology,
  program: Program,
  report: Report,
  { followers, seconds }: PartsOptions,
  { name, parentFollows, slow }: MemoryCase,
): Promise<void> {
  const [first, second] = topology.nodes;
  const parent = parentFollows ? second : first;
  const agent = parent && topology.agents.of(parent);
  if (first === undefined || parent === undefined || agent === undefined) throw new Error('none');
  const blobRate = (LINKS.upstream * 1e6) / 8 / BLOBS;
  const layerBytes = Math.round(blobRate * seconds);
  const image = await pushFreshImage(topology.upstream, { layers: BLOBS, layerBytes });
  addMemory(report, `${name}: before`, await memory(agent.pid));
  const sampler = new MemorySampler(agent.pid);
  const order: FollowOrder = {
    ...(await placeOf(agent)),
    ...namesOf(image),
    swarmKeyFile: agentEnvironment().SWARM_KEY_FILE,
    digests: image.digests.slice(-BLOBS),
    followers,
    slow,
    slowBytesPerSecond: Math.round(blobRate * SLOW_PART),
    limitMs: seconds * 2000,
  };
  const watch = new FollowerWatch(agent);
  const pulls = [pull(first, image)];
  if (parentFollows) {
    await waitFor('the first node fetches', async () => (await arriving(first, topology)) >= BLOBS);
    pulls.push(pull(parent, image));
  }
  const followed = (await program.ask('follow', order)) as FollowResult;
  await Promise.all(pulls);
  const [most, peak] = [await watch.stop(), await sampler.stop()];
  const note = `${followed.whole} to their end, ${followed.bodies} bodies`;
  report.add('memory', `${name}: followers at once`, most, '', note);
  addMemory(report, `${name}: at most`, peak, '; goal: at most 128');
  await topology.forget(image.name);
}

/** Of the parts of an image: `REGISTRY/REPOSITORY:TAG`. */
function namesOf({ name }: FreshImage): Pick<FollowOrder, 'registry' | 'repository'> {
  const [, registry = '', repository = ''] = /^([^/]+)\/(.+):[^:]+$/.exec(name) ?? [];
  return { registry, repository };
}

async function placeOf(agent: AgentProcess): Promise<Pick<FollowOrder, 'origin' | 'peerId'>> {
  const response = await agent.fetchMetrics('/debug/status');
  const { peerId } = (await response.json()) as { peerId: string };
  return { origin: `http://${agent.node.host.address}:${PORTS.registry}`, peerId };
}

async function pull({ socket }: ContainerdNode, image: FreshImage): Promise<void> {
  using cri = new CriClient(socket);
  await cri.pullImage(image.name, LIMIT_MS);
}

/** Downloads of this node that have an arbiter. */
async function arriving(node: ContainerdNode, { agents }: Topology): Promise<number> {
  const agent = agents.of(node);
  return agent === undefined ? 0 : (await downloadsOf(agent)).length;
}

async function downloadsOf(agent: AgentProcess): Promise<readonly { followers: number }[]> {
  const response = await agent.fetchMetrics('/debug/downloads');
  const { downloads } = (await response.json()) as { downloads: { followers: number }[] };
  return downloads;
}

/** Watches how many follow an agent, from its construction on. */
class FollowerWatch {
  readonly #ended = new AbortController();
  readonly #watching: Promise<number>;

  constructor(agent: AgentProcess) {
    this.#watching = this.#watch(agent);
  }

  /** The most that there were at once. */
  async stop(): Promise<number> {
    this.#ended.abort();
    return await this.#watching;
  }

  async #watch(agent: AgentProcess): Promise<number> {
    let most = 0;
    while (!this.#ended.signal.aborted) {
      const downloads = await downloadsOf(agent);
      most = Math.max(
        most,
        downloads.reduce((sum, { followers }) => sum + followers, 0),
      );
      await sleep(LOOK_MS);
    }
    return most;
  }
}

function addMemory(report: Report, what: string, { rss, anonymous }: Memory, note = ''): void {
  const ofIt = `${Math.round(anonymous / MIB)} of it anonymous${note}`;
  report.add('memory', what, Math.round(rss / MIB), 'MiB', ofIt);
}
