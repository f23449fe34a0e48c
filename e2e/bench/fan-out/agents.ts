import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { AgentProcess } from '../../harness/agent-process.ts';
import { execute } from '../../harness/child.ts';
import type { ContainerdNode } from '../../harness/containerd-node.ts';
import { waitFor } from '../../harness/wait.ts';
import { PROGRAM, type DirectoryStatus } from '../support/agent.ts';
import { settled, totalCpuMs } from '../support/proc.ts';

/**
 * Which agents run, and with which options. `mixed`: every second one does not take part in fan-out. `lone`: the one of the first
 * node only, which knows no other. `upstream`: they fetch from the registry themselves.
 */
export type AgentMode = 'none' | 'off' | 'on' | 'mixed' | 'lone' | 'upstream';

/** The registry in the names of images, and where it is reached. */
interface RegistryAddress {
  readonly registry: string;
  readonly origin: string;
}

const FAN_OUT_OPTION = '--fan-out';
const WITHOUT_FAN_OUT = `${FAN_OUT_OPTION}=false`;

/** Many agents start at a time on few processors. */
const READY_MS = 120_000;
const KNOWN_MS = 300_000;

/** Whether the program can download once per cluster: by its help text. */
export async function knowsFanOut(): Promise<boolean> {
  const help = await execute([process.execPath, PROGRAM, 'registry', '--help']);
  return help.includes(FAN_OUT_OPTION);
}

/** The agents of all nodes. */
export class NodeAgents implements AsyncDisposable {
  readonly #nodes: readonly ContainerdNode[];
  readonly #hasFanOut: boolean;
  readonly #address: RegistryAddress;
  readonly #agents = new Map<ContainerdNode, AgentProcess>();
  #mode: AgentMode = 'none';

  constructor(nodes: readonly ContainerdNode[], hasFanOut: boolean, address: RegistryAddress) {
    this.#nodes = nodes;
    this.#hasFanOut = hasFanOut;
    this.#address = address;
  }

  /** Starts or ends the agents. When it resolves, each knows all others, and none has anything left to do. */
  async use(mode: AgentMode): Promise<void> {
    if (mode !== this.#mode) {
      await this.#stop();
      this.#mode = mode;
      for (const node of this.#nodesWithAgent()) await this.#launch(node);
    }
    if (mode === 'none') return;
    const agents = [...this.#agents.values()];
    for (const agent of agents) await agent.ready(READY_MS);
    await waitFor('all agents know each other', () => this.#knowEachOther(agents), {
      timeoutMs: KNOWN_MS,
      everyMs: 500,
    });
    await settled(agents.map(({ pid }) => pid));
  }

  /** The agent of a node, while it runs. */
  of(node: ContainerdNode): AgentProcess | undefined {
    return this.#agents.get(node);
  }

  /** Resident memory of each agent that runs, in bytes. */
  async memory(): Promise<readonly number[]> {
    const stats = await Promise.all(this.#running().map((agent) => agent.stats()));
    return stats.map(({ rssBytes }) => rssBytes);
  }

  /** CPU time of the agents that run, in milliseconds. */
  cpuMs(): Promise<number> {
    return totalCpuMs(this.#running().map(({ pid }) => pid));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }

  #nodesWithAgent(): readonly ContainerdNode[] {
    if (this.#mode === 'none') return [];
    return this.#mode === 'lone' ? this.#nodes.slice(0, 1) : this.#nodes;
  }

  async #launch(node: ContainerdNode): Promise<void> {
    const others = this.#nodesWithAgent().filter((it) => it !== node);
    const peers = others.map(({ host }) => host.address);
    const isOff = this.#mode === 'off';
    const takesPart = !isOff && (this.#mode !== 'mixed' || this.#nodes.indexOf(node) % 2 === 0);
    const flags = this.#hasFanOut && !takesPart ? [WITHOUT_FAN_OUT] : [];
    if (this.#mode === 'upstream') flags.push(...(await this.#upstreamFlags(node)));
    const init = { node, peers, flags, program: PROGRAM, logLevel: 'INFO' };
    this.#agents.set(node, await AgentProcess.launch(init));
  }

  async #upstreamFlags({ host }: ContainerdNode): Promise<readonly string[]> {
    const { registry, origin } = this.#address;
    const file = join(host.directory, 'registries.yaml');
    await writeFile(file, `mirrors:\n  "${registry}": { endpoint: ["${origin}"] }\n`);
    return ['--upstream', `http://${registry}`, '--registries-yaml', file];
  }

  async #knowEachOther(agents: readonly AgentProcess[]): Promise<true> {
    const counts: number[] = [];
    for (const agent of agents) {
      const response = await agent.fetchMetrics('/debug/status');
      const { directory } = (await response.json()) as { directory: DirectoryStatus };
      counts.push(directory.peers);
    }
    if (counts.every((count) => count === agents.length - 1)) return true;
    throw new Error(`peers known: ${counts.join(' ')}`);
  }

  #running(): AgentProcess[] {
    return [...this.#agents.values()].filter(({ isRunning }) => isRunning);
  }

  async #stop(): Promise<void> {
    await Promise.all([...this.#agents.values()].map((agent) => agent.stop()));
    this.#agents.clear();
  }
}
