import { shareMaxMin } from './fluid.ts';
import type { HerdNode } from './herd-node.ts';

/** Delay of a hop, in milliseconds. It is one step of the model: a part of one would smear the flow, a little at each hop. */
export const HOP_MS = 3;

/** Options of {@link Flows}. */
export interface FlowsInit {
  /** Bytes of the blob. */
  readonly size: number;
  /** Bytes a millisecond of the upstream registry for all nodes. */
  readonly upstream: number;
  /** Nodes forward the content so many milliseconds after they have all of it. Default: while it arrives. */
  readonly commitMs?: number;
}

/** Moves bytes: the upstream registry, and each node, share what they can send max-min among those that receive from them. */
export class Flows {
  readonly #nodes: readonly HerdNode[];
  readonly #init: FlowsInit;
  upstreamBytes = 0;
  peerBytes = 0;
  /** Bytes between nodes of different zones. */
  crossedBytes = 0;
  /** Most hops between a follower and a node that fetches or has all. */
  depth = 0;

  constructor(nodes: readonly HerdNode[], init: FlowsInit) {
    this.#nodes = nodes;
    this.#init = init;
  }

  /** The bytes of one step: first those that fetch, then those below them. @returns the nodes that have all bytes since */
  step(now: number, stalled: HerdNode | undefined): readonly HerdNode[] {
    const fetchers = this.#nodes.filter(
      (node) =>
        (node.doing === 'fetches' || node.doing === 'apart') &&
        node.flowsAt <= now &&
        node !== stalled,
    );
    const shares = shareMaxMin(
      this.#init.upstream,
      fetchers.map(({ link, offset }) => Math.min(link, (this.#init.size - offset) / HOP_MS)),
    );
    const gains = new Map(fetchers.map((node, index) => [node, (shares[index] ?? 0) * HOP_MS]));
    for (const gain of gains.values()) this.upstreamBytes += gain;
    // A node without a parent is a root, whatever it does; one with a parent comes after it.
    const finished: HerdNode[] = [];
    let line = this.#nodes.filter(({ parent, isAlive }) => parent === undefined && isAlive);
    for (let depth = 0; line.length > 0; depth += 1) {
      const below: HerdNode[] = [];
      for (const node of line) {
        if (node.doing === 'follows') this.depth = Math.max(this.depth, depth);
        if (this.#grow(node, gains.get(node) ?? 0, now)) finished.push(node);
        below.push(...this.#serve(node, gains, now));
      }
      line = below;
    }
    return finished;
  }

  /** Gives the uplink of a node to those that receive from it. */
  #serve(node: HerdNode, gains: Map<HerdNode, number>, now: number): HerdNode[] {
    const takers = [...node.followers, ...node.peers];
    if (takers.length === 0) return takers;
    const there = this.#forwarded(node, now);
    const demands = takers.map((taker) =>
      Math.min(taker.link, Math.max(0, there - taker.offset) / HOP_MS),
    );
    for (const [index, share] of shareMaxMin(node.link, demands).entries()) {
      const taker = takers[index];
      if (taker === undefined) continue;
      gains.set(taker, share * HOP_MS);
      this.peerBytes += share * HOP_MS;
      if (taker.zone !== node.zone) this.crossedBytes += share * HOP_MS;
    }
    return takers;
  }

  /** What the followers of a node can have: what it had one hop ago; all or nothing where it forwards what it has committed. */
  #forwarded(node: HerdNode, now: number): number {
    const { commitMs } = this.#init;
    if (commitMs === undefined) return node.before;
    return now - node.doneAt >= commitMs ? this.#init.size : 0;
  }

  /** @returns whether it has all bytes since this step */
  #grow(node: HerdNode, gain: number, now: number): boolean {
    node.before = node.offset;
    node.offset = Math.min(this.#init.size, node.offset + gain);
    node.rate = node.rate * 0.8 + (gain / HOP_MS) * 0.2;
    if (gain > 0) node.grewAt = now;
    // Half a byte is the error of many additions.
    if (node.offset < this.#init.size - 0.5 || node.doing === 'done') return false;
    node.offset = this.#init.size;
    return true;
  }
}
