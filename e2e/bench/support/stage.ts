import { rm } from 'node:fs/promises';

import { BenchAgent } from './agent.ts';
import { putLargeImage, putSmallImages } from './images.ts';
import { Network } from './network.ts';
import { settled, totalCpuMs } from './proc.ts';
import type { Report } from './report.ts';

const LARGE_BYTES = 256 << 20;

/** The agent that holds all the content, and where a mirror finds it. */
interface Holder {
  readonly agent: BenchAgent;
  /** Paths of its small blobs, manifests and tags: one for each key that it is to advertise. */
  readonly paths: readonly string[];
}

/**
 * What most figures are taken of: agents that hold nothing, and one, the holder, that comes to them with its
 * keys. Each holder has an address and keys of its own: what records of an earlier one are left finds nothing.
 */
export class Stage implements AsyncDisposable {
  readonly others: readonly BenchAgent[];
  readonly #network: Network;
  readonly #keys: number;
  #holder: Holder | undefined;
  #holders = 0;
  #largePath = '';

  private constructor(network: Network, keys: number) {
    this.#network = network;
    this.#keys = keys;
    this.others = network.agents;
  }

  /** Starts all agents but the holder. */
  static async open(nodes: number, keys: number): Promise<Stage> {
    await using parts = new AsyncDisposableStack();
    const network = parts.use(new Network(nodes - 1));
    await network.start();
    await network.settled();
    parts.move();
    return new Stage(network, keys);
  }

  get holder(): BenchAgent {
    return this.#present().agent;
  }

  get paths(): readonly string[] {
    return this.#present().paths;
  }

  /** All agents that run. */
  get agents(): readonly BenchAgent[] {
    return this.#holder === undefined ? this.others : [...this.others, this.#holder.agent];
  }

  /** The path of a blob of 256 MiB, which the holder has from now on. */
  async putLarge(): Promise<string> {
    if (this.#largePath === '') {
      this.#largePath = await putLargeImage(this.holder.layout, LARGE_BYTES);
    }
    return this.#largePath;
  }

  /**
   * Makes a holder with fresh content, not started yet.
   *
   * @param keys default: those that all figures are taken with
   */
  async prepareHolder(keys = this.#keys): Promise<BenchAgent> {
    const agent = new BenchAgent(this.others.length + ++this.#holders);
    const paths = await putSmallImages(agent.layout, keys);
    this.#holder = { agent, paths };
    return agent;
  }

  /** Starts the holder's process without waiting for anything. */
  async startHolder(nodeFlags: readonly string[] = []): Promise<void> {
    const peers = this.others.map(({ router }) => router);
    await this.holder.start({ peers, nodeFlags });
  }

  /** Waits until all agents, the holder too, know each other. */
  async connected(): Promise<void> {
    await this.#network.connected([this.holder]);
  }

  /** Waits until the agents are through with what follows from a start or an end of the holder, and says what they still take. */
  async settled(report: Report): Promise<void> {
    report.progress('waiting until the agents take little CPU');
    const rate = await settled(this.agents.map(({ pid }) => pid));
    report.progress(`an agent takes ${rate.toFixed(1)} ms/s now`);
  }

  /** Ends the holder and waits until the others have forgotten it. */
  async stopHolder(): Promise<void> {
    const { agent } = this.#present();
    await agent.stop();
    this.#holder = undefined;
    await rm(agent.layout, { recursive: true });
    await this.#network.connected();
  }

  /** CPU that the agents have taken together, in milliseconds. */
  cpuMs(): Promise<number> {
    return totalCpuMs(this.agents.map(({ pid }) => pid));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#holder?.agent.stop();
    await this.#network[Symbol.asyncDispose]();
  }

  #present(): Holder {
    if (this.#holder === undefined) throw new Error('there is no holder');
    return this.#holder;
  }
}
