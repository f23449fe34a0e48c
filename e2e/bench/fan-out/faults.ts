import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { ContainerdNode } from '../../harness/containerd-node.ts';
import type { FaultInit } from './options.ts';
import type { RegistryWatch } from './registry-watch.ts';
import type { Topology } from './topology.ts';

/** A node that has sent more than this sends content to others, and not only acknowledgements. */
const MIN_SENT_BYTES = 1_000_000;

/** A node that fails in the middle of a case, and comes back after it. */
export class Fault {
  readonly #topology: Topology;
  readonly #init: FaultInit;
  readonly #sentBefore = new Map<ContainerdNode, number>();
  #victim: ContainerdNode | undefined;

  private constructor(topology: Topology, init: FaultInit) {
    this.#topology = topology;
    this.#init = init;
  }

  /** To be called before the case begins. */
  static async prepare(topology: Topology, init: FaultInit): Promise<Fault> {
    const fault = new Fault(topology, init);
    for (const node of topology.nodes) fault.#sentBefore.set(node, await node.host.bytesSent());
    return fault;
  }

  isVictim(node: ContainerdNode): boolean {
    return node === this.#victim;
  }

  /** Lets the node fail after this time. Gives its name, or undefined when no node is one of the kind. */
  async strike(afterMs: number, watch: RegistryWatch): Promise<string | undefined> {
    await sleep(afterMs);
    const fetcher = await watch.fetcher(this.#topology.nodes);
    const node = this.#init.victim === 'fetcher' ? fetcher : await this.#inner(fetcher);
    if (node === undefined) return undefined;
    this.#victim = node;
    const agent = this.#topology.agents.of(node);
    switch (this.#init.how) {
      case 'kill':
        await Promise.all([agent?.kill(), node.kill()]);
        break;
      case 'stop':
        agent?.signal('SIGSTOP');
        node.signal('SIGSTOP');
        break;
      case 'unplug':
        await node.host.plug(false);
        break;
    }
    return node.host.name;
  }

  /** Brings the node into order again, with new processes and without the unfinished download. */
  async undo(): Promise<void> {
    const node = this.#victim;
    if (node === undefined) return;
    await node.host.plug(true);
    const agent = this.#topology.agents.of(node);
    await agent?.kill();
    await node.kill();
    const ingest = join(node.contentPath, 'ingest');
    for (const name of await readdir(ingest)) await rm(join(ingest, name), { recursive: true });
    await node.restart();
    await agent?.restart();
    this.#victim = undefined;
  }

  /** The node that has sent most to the others, except for the fetcher. */
  async #inner(fetcher: ContainerdNode | undefined): Promise<ContainerdNode | undefined> {
    let [most, found]: [number, ContainerdNode | undefined] = [MIN_SENT_BYTES, undefined];
    for (const node of this.#topology.nodes) {
      const sent = (await node.host.bytesSent()) - (this.#sentBefore.get(node) ?? 0);
      if (node !== fetcher && sent > most) [most, found] = [sent, node];
    }
    return found;
  }
}
