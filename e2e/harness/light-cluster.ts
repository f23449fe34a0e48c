import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { LightNode } from './light-node.ts';
import { NameServer } from './name-server.ts';
import { Network } from './namespaces.ts';

const SERVICE = 'peerglass.kube-system.svc.cluster.local';
/** Layers of the image of each node. Config, manifest and tag are three keys more. */
const LAYERS = 7;

/** Options of {@link LightCluster.create}. */
export interface LightClusterInit {
  readonly nodes: number;
  /** Addresses that the Service names as well, and where no node is. Default: none. */
  readonly dead?: readonly string[];
  /** How a node finds the others: by the name of the Service, or by the first node's address. Default: by the name. */
  readonly bootstrap?: 'name' | 'first-node';
  /** Begins the names of its machines, where one process has several clusters. Default: nothing. */
  readonly prefix?: string;
}

/**
 * Agents without containerd that find each other by the name of a headless Service, on a network where both
 * IPv4 and IPv6 lead to each. Every node holds an image of its own.
 */
export class LightCluster implements AsyncDisposable {
  readonly network: Network;
  readonly nameServer: NameServer;
  readonly #dead: readonly string[];
  readonly #bootstrap: 'name' | 'first-node';
  readonly #agents = new AsyncDisposableStack();
  #machines: AsyncDisposableStack | undefined;
  readonly #nodes: LightNode[] = [];
  #made = 0;

  private constructor(network: Network, nameServer: NameServer, init: LightClusterInit) {
    const { dead = [], bootstrap = 'name' } = init;
    this.network = network;
    this.nameServer = nameServer;
    this.#dead = [nameServer.host.address, ...dead];
    this.#bootstrap = bootstrap;
  }

  /** Makes the machines; no agent runs yet. */
  static async create(init: LightClusterInit): Promise<LightCluster> {
    await using resources = new AsyncDisposableStack();
    const network = resources.use(await Network.create(init.prefix));
    const host = await network.addHost('dns');
    const nameServer = resources.use(await NameServer.start(host));
    const cluster = new LightCluster(network, nameServer, init);
    resources.use(cluster.#agents);
    for (let index = 0; index < init.nodes; index++) await cluster.addNode();
    await cluster.publish();
    cluster.#machines = resources.move();
    return cluster;
  }

  /** The nodes of this moment: those that were removed are not among them. */
  get nodes(): readonly LightNode[] {
    return this.#nodes;
  }

  /** What the Service names although no node is there: the name server's own address among them. */
  get dead(): readonly string[] {
    return this.#dead;
  }

  /** What the Service names of the nodes: a third each by IPv4, by IPv6, and by both. */
  get living(): readonly string[] {
    return this.#nodes.flatMap(({ host: { address }, address6 }, index) =>
      index % 3 === 0 ? [address] : index % 3 === 1 ? [address6] : [address, address6],
    );
  }

  /** Adds a machine with content of its own; {@link publish} makes it known. */
  async addNode(): Promise<LightNode> {
    const host = await this.network.addHost(`n${++this.#made}`);
    const first = this.#nodes[0]?.host ?? host;
    const node = await LightNode.create({
      host,
      nameServer: this.nameServer,
      service: SERVICE,
      ...(this.#bootstrap === 'first-node' && { bootstrap: [first.address] }),
    });
    this.#agents.use(node);
    await node.addImage('membership', LAYERS);
    this.#nodes.push(node);
    return node;
  }

  /** Takes the node out of {@link nodes}: its machine stays, what runs there is the caller's business. */
  remove(node: LightNode): void {
    this.#nodes.splice(this.#nodes.indexOf(node), 1);
  }

  /** Has the Service name {@link living} and {@link dead} addresses. */
  async publish(): Promise<void> {
    await this.nameServer.serve({ [SERVICE]: [...this.living, ...this.#dead] });
  }

  /** See `scenario`: every node is in the network and its agent runs. */
  async clear(): Promise<void> {
    await this.network.rejoin(this.#nodes.map(({ host }) => host));
    for (const node of this.#nodes) {
      await node.host.plug(true);
      node.signal('SIGCONT');
      if (!node.isRunning) node.start();
    }
  }

  /** See `scenario`. */
  async saveLogs(folder: string): Promise<string> {
    const tails: string[] = [];
    await mkdir(folder, { recursive: true });
    for (const node of this.#nodes) {
      await copyFile(join(node.host.directory, 'agent.log'), join(folder, `${node.name}.log`));
      const lines = (await node.logTail(1)).split('\n').map((line) => line.slice(0, 300));
      tails.push(`agent on ${node.name}:`, ...lines);
    }
    return tails.join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#machines?.disposeAsync();
  }
}
