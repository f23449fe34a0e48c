import type { Multiaddr } from '@multiformats/multiaddr';

/** A peer to connect with. */
export interface BootstrapPeer {
  /** Its peer ID in text form; absent when only a dial can find it out. */
  readonly peerId?: string;
  /** Never empty. */
  readonly multiaddrs: readonly Multiaddr[];
  /** Whether a node of the network named it, and not an administrator or the DNS. Default: no. */
  readonly isNamedByNode?: boolean;
}

/** Port: finds the first peers of the node. */
export interface Bootstrapper {
  /**
   * Finds the present peers, which may include this node. An empty list is a valid answer.
   *
   * @throws {BootstrapError} when the peers cannot be found out
   */
  find(signal: AbortSignal): Promise<readonly BootstrapPeer[]>;
}

/** Upper bound for the peers of one answer. */
export const MAX_BOOTSTRAP_PEERS = 5000;

/** The peers cannot be found out. The message names the source and the reason. */
export class BootstrapError extends Error {
  override readonly name = 'BootstrapError';
  readonly code = 'ERR_BOOTSTRAP';
}
