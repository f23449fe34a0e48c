import type { Multiaddr } from '@multiformats/multiaddr';

import { tcpAddress } from '../../routing/node/announced-addresses.ts';
import type { SimulatedNode } from './simulated-node.ts';
import type { Amount, Traffic } from './traffic.ts';

/** The network of simulated nodes, as they see it. */
export interface NodeNetwork {
  /** One way, in milliseconds. */
  readonly delayMs: number;
  /** Calls back after a time, in milliseconds. */
  after(milliseconds: number, callback: () => void): void;
  /** The node that listens at `10.0.0.7:5001`. */
  at(address: string): SimulatedNode | undefined;
  /** Adds a node that listens. */
  join(node: SimulatedNode): void;
  /** Removes a node that no longer listens. */
  leave(node: SimulatedNode): void;
  /** Counts messages from one node to another. */
  count(kind: string, sender: Traffic, receiver: Traffic, amount: Readonly<Amount>): void;
}

/** The socket of an address: `10.0.0.7:5001`. */
export function socketOf(address: Multiaddr): string {
  const { ip = '', port = 0 } = tcpAddress(address) ?? {};
  return `${ip}:${port}`;
}
