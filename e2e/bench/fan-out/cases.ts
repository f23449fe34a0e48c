import { cpus } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';

import type { ContainerdNode } from '../../harness/containerd-node.ts';
import { writeHostsToml } from '../../harness/hosts-toml.ts';
import { machineBusyMs } from '../support/proc.ts';
import type { AgentMode } from './agents.ts';
import { Fault } from './faults.ts';
import { pushFreshImage, type FreshImage } from './images.ts';
import {
  idealMs,
  type CaseName,
  type FanOutOptions,
  type ImageShape,
  type LinkRates,
} from './options.ts';
import { PullThroughCache } from './pull-through-cache.ts';
import { RegistryWatch, type RegistryWork } from './registry-watch.ts';
import { rollOut, type NodeOutcome } from './roll-out.ts';
import type { Topology } from './topology.ts';

/** A case: which agents run, where containerd goes before it goes to the registry, and how many nodes pull. */
const CASES: Readonly<
  Record<
    CaseName,
    {
      readonly agents: AgentMode;
      readonly mirror: 'agent' | 'cache' | 'none';
      readonly one?: boolean;
      /** The first node has the image before the others want it, as when it was imported there. */
      readonly isHeld?: boolean;
    }
  >
> = {
  alone: { agents: 'none', mirror: 'none', one: true },
  lone: { agents: 'lone', mirror: 'agent', one: true },
  members: { agents: 'on', mirror: 'agent', one: true },
  straight: { agents: 'none', mirror: 'none' },
  cache: { agents: 'none', mirror: 'cache' },
  off: { agents: 'off', mirror: 'agent' },
  on: { agents: 'on', mirror: 'agent' },
  held: { agents: 'on', mirror: 'agent', isHeld: true },
  mixed: { agents: 'mixed', mirror: 'agent' },
  upstream: { agents: 'upstream', mirror: 'agent' },
};

/** What agents and containerds warm up with: just started, both take several milliseconds longer for each request. */
const WARM_UP: ImageShape = { layers: 1, layerBytes: 65_536 };

/** In which a node advertises what it has pulled, in milliseconds. */
const ADVERTISED_MS = 2_000;

/** Longest time of a pull beyond three times that of all pulls one after the other, in milliseconds. */
const LIMIT_MS = 60_000;

/** Whether only agents that know fan-out have this case. */
export function needsFanOut(name: CaseName): boolean {
  return name === 'on' || name === 'held' || name === 'mixed' || name === 'upstream';
}

/** What one case gave in one round. */
export interface CaseRun {
  readonly name: CaseName;
  readonly imageBytes: number;
  readonly outcomes: readonly NodeOutcome[];
  readonly registry: RegistryWork;
  /** The node that failed on purpose. */
  readonly victim: string | undefined;
  /** Share of the time of all processors that was used, by other programs too. */
  readonly busy: number;
  /** CPU time of all agents together. */
  readonly agentsCpuMs: number;
  /** Resident memory of each agent at the end, in bytes. */
  readonly agentsMemory: readonly number[];
}

/** What a case is measured with. */
export interface CaseInit {
  readonly image: ImageShape;
  readonly links: LinkRates;
  readonly options: FanOutOptions;
  /** When a node fails, in milliseconds; undefined: none does. */
  readonly faultAfterMs: number | undefined;
  readonly random: () => number;
}

/** Measures a case once, with an image that no node has. */
export async function measureCase(
  topology: Topology,
  name: CaseName,
  init: CaseInit,
): Promise<CaseRun> {
  const { agents, mirror, one = false, isHeld = false } = CASES[name];
  const nodes = one ? topology.nodes.slice(0, 1) : topology.nodes;
  await topology.agents.use(agents);
  await using resources = new AsyncDisposableStack();
  const mirrors = await startMirror(topology, mirror, resources);
  const { registry } = topology.upstream;
  for (const { certsDir } of nodes)
    await writeHostsToml(certsDir, registry, topology.origin, mirrors);
  if (!init.options.isCold) await warmUp(topology, nodes);
  const image = await pushFreshImage(topology.upstream, init.image);
  resources.defer(() => topology.forget(image.name));
  if (isHeld) await holdOnFirst(topology, image);

  const fault =
    agents === 'none' || one || init.options.fault === undefined
      ? undefined
      : await Fault.prepare(topology, init.options.fault);
  if (fault !== undefined) resources.defer(() => fault.undo());
  const watch = await RegistryWatch.begin(topology.upstream);
  const cpuBefore = await topology.agents.cpuMs();
  const [busyBefore, start] = [await machineBusyMs(), performance.now()];
  const [outcomes, victim] = await Promise.all([
    rollOut(isHeld ? nodes.slice(1) : nodes, image, {
      spreadMs: init.options.spreadMs,
      waveShare: init.options.waveShare,
      limitMs: LIMIT_MS + 3 * topology.nodes.length * idealMs(init.image, init.links),
      random: init.random,
      isLost: (node: ContainerdNode) => fault?.isVictim(node) === true,
    }),
    fault?.strike(init.faultAfterMs ?? 0, watch),
  ]);
  const busyMs = (await machineBusyMs()) - busyBefore;
  return {
    name,
    imageBytes: image.bytes,
    outcomes,
    registry: await watch.work(),
    victim,
    busy: busyMs / (performance.now() - start) / cpus().length,
    // Those of a node that failed are not among them any more.
    agentsCpuMs: victim === undefined ? (await topology.agents.cpuMs()) - cpuBefore : NaN,
    agentsMemory: await topology.agents.memory(),
  };
}

async function warmUp(topology: Topology, nodes: readonly ContainerdNode[]): Promise<void> {
  const image = await pushFreshImage(topology.upstream, WARM_UP);
  await pullOn(nodes, image);
  await topology.forget(image.name);
}

/** Has the first node get the image from the registry without its agent, so that no arbiter knows of it. */
async function holdOnFirst(
  { nodes, upstream, origin }: Topology,
  image: FreshImage,
): Promise<void> {
  const first = nodes.slice(0, 1);
  for (const { certsDir } of first)
    await writeHostsToml(certsDir, upstream.registry, origin, [origin]);
  await pullOn(first, image);
  await sleep(ADVERTISED_MS);
}

/** Lets these nodes pull an image before anything is measured. */
async function pullOn(nodes: readonly ContainerdNode[], image: FreshImage): Promise<void> {
  const random = (): number => 0;
  const isLost = (): boolean => false;
  await rollOut(nodes, image, { spreadMs: 0, waveShare: 1, limitMs: LIMIT_MS, random, isLost });
}

/** The mirrors that hosts.toml names; undefined: the agent of the node. */
async function startMirror(
  topology: Topology,
  mirror: 'agent' | 'cache' | 'none',
  resources: AsyncDisposableStack,
): Promise<readonly string[] | undefined> {
  if (mirror === 'agent') return undefined;
  const [first] = topology.nodes;
  // As a host of its own: before 2.0, a file with nothing but `server` makes containerd use HTTPS.
  if (mirror === 'none' || first === undefined) return [topology.origin];
  // The node that has the cache pulls through it too. Otherwise upstream would send the image to this node twice.
  const cache = await PullThroughCache.start(first.host, topology.origin);
  return [resources.use(cache).origin];
}
