import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { buildAgentImage } from './agent-image.ts';
import { PAUSE_IMAGE } from './containerd-config.ts';
import { ContainerdNode } from './containerd-node.ts';
import { containerdRelease, type Suite } from './containerd-versions.ts';
import { Network } from './namespaces.ts';
import { makePauseImage } from './pause-image.ts';
import { PodAgent } from './pod-agent.ts';
import { runDirectory } from './run.ts';

const IMAGE = 'registry.example.test/peerglass:test';

/** Nodes whose agents run as pods from the image of `scripts/build-image`, each named after its suite. */
export class PodCluster implements AsyncDisposable {
  readonly #agents: Map<Suite, PodAgent>;
  readonly #nodes: ReadonlyMap<Suite, ContainerdNode>;
  readonly #resources: AsyncDisposableStack;

  private constructor(
    nodes: ReadonlyMap<Suite, ContainerdNode>,
    agents: Map<Suite, PodAgent>,
    resources: AsyncDisposableStack,
  ) {
    this.#nodes = nodes;
    this.#agents = agents;
    this.#resources = resources;
  }

  /** Builds the image, brings it onto each node, and waits until every agent is ready. */
  static async start(suites: readonly Suite[]): Promise<PodCluster> {
    const archives = [(await buildAgentImage(IMAGE)).archive, await makePauseImage(runDirectory())];
    await using resources = new AsyncDisposableStack();
    const network = resources.use(await Network.create());
    const nodes = new Map<Suite, ContainerdNode>();
    for (const suite of suites) {
      const host = await network.addHost(suite);
      const release = await containerdRelease(suite);
      const node = resources.use(await ContainerdNode.start({ host, release }));
      for (const archive of archives) await node.importArchive(archive);
      nodes.set(suite, node);
    }
    const agents = new Map<Suite, PodAgent>();
    // Pods must be gone before the daemon that would remove them.
    resources.defer(async () => {
      for (const agent of agents.values()) await agent[Symbol.asyncDispose]();
    });
    const cluster = new PodCluster(nodes, agents, resources.move());
    try {
      for (const suite of suites) await cluster.#run(suite);
      await Promise.all(cluster.agents.map((agent) => agent.ready()));
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  get agents(): readonly PodAgent[] {
    return [...this.#agents.values()];
  }

  agent(suite: Suite): PodAgent {
    const agent = this.#agents.get(suite);
    if (agent === undefined) throw new Error(`no agent on ${suite}`);
    return agent;
  }

  /** Removes the node's pod and starts another one in its place. */
  async replace(suite: Suite): Promise<PodAgent> {
    await this.agent(suite)[Symbol.asyncDispose]();
    this.#agents.delete(suite);
    return this.#run(suite);
  }

  /** Removes all images except those of the pods. */
  async clear(): Promise<void> {
    for (const node of this.#nodes.values()) {
      const images = await node.images();
      const ours = new Set([images.get(IMAGE), images.get(PAUSE_IMAGE)]);
      for (const [name, digest] of images) {
        // The CRI's names for an image, by its digests, go with it.
        if (!ours.has(digest) && !name.startsWith('sha256:')) await node.removeImage(name);
      }
    }
  }

  /** Copies the logs of daemons and agents into the folder. Returns the last lines of the agents. */
  async saveLogs(folder: string): Promise<string> {
    const tails: string[] = [];
    await mkdir(folder, { recursive: true });
    for (const [suite, node] of this.#nodes) {
      const file = join(folder, `${suite}-containerd.log`);
      await copyFile(join(node.host.directory, 'containerd.log'), file);
      const log = (await this.#agents.get(suite)?.container.logs()) ?? 'no pod';
      await writeFile(join(folder, `${suite}-agent.log`), log);
      tails.push(`agent on ${suite}:`, ...log.trimEnd().split('\n').slice(-8));
    }
    return tails.join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync();
  }

  async #run(suite: Suite): Promise<PodAgent> {
    const node = this.#nodes.get(suite);
    if (node === undefined) throw new Error(`no node ${suite}`);
    const others = [...this.#nodes.values()].filter((it) => it !== node);
    const peers = others.map((it) => it.host.address);
    const agent = await PodAgent.run({ node, image: IMAGE, peers });
    this.#agents.set(suite, agent);
    return agent;
  }
}
