import type { NodeNetwork } from './node-network.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { TrafficByKind, type Amount, type Traffic } from './traffic.ts';
import { VirtualClock } from './virtual-clock.ts';

/** When keep-alive ends a connection with a host that vanished, in milliseconds; see `libp2p-node.ts`. */
const KEEP_ALIVE_MS = 15_000;
/** Default of the delay. */
const DELAY_MS = 0.5;

/** What lies between simulated nodes: each link has the same delay and any bandwidth, and loses nothing. */
export class SimulatedLinks implements NodeNetwork {
  readonly clock = new VirtualClock();
  readonly delayMs: number;
  readonly byKind = new TrafficByKind();
  readonly #nodes = new Map<string, SimulatedNode>();

  /** @param delayMs one way, in milliseconds; default {@link DELAY_MS} */
  constructor(delayMs = DELAY_MS) {
    this.delayMs = delayMs;
  }

  after(milliseconds: number, callback: () => void): void {
    this.clock.schedule(milliseconds, callback);
  }

  at(address: string): SimulatedNode | undefined {
    return this.#nodes.get(address);
  }

  join(node: SimulatedNode): void {
    this.#nodes.set(node.socket, node);
  }

  leave(node: SimulatedNode): void {
    this.#nodes.delete(node.socket);
  }

  count(kind: string, { sent }: Traffic, { received }: Traffic, amount: Readonly<Amount>): void {
    for (const total of [sent, received]) {
      total.messages += amount.messages;
      total.bytes += amount.bytes;
    }
    this.byKind.add(kind, amount);
  }

  /** Ends the process of a node: its connections break at the others when the RST arrives, and dials are refused. */
  kill(node: SimulatedNode): void {
    node.isOffline = true;
    this.leave(node);
    for (const connection of node.connections()) {
      this.after(this.delayMs, () => {
        connection.breakOther();
      });
      connection.break(new Error('the process has ended'));
    }
  }

  /** Takes a node off the network without a word: what is sent to it is lost, and dials wait in vain. */
  partition(node: SimulatedNode): void {
    node.isOffline = true;
    for (const connection of node.connections()) {
      this.after(KEEP_ALIVE_MS, () => {
        connection.breakUnlessStalled();
      });
    }
  }
}
