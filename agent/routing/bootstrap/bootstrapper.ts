import type { Multiaddr } from '@multiformats/multiaddr';

/** Somebody to connect with first. */
export interface BootstrapPeer {
  /** Text form, when it is known beforehand; otherwise it is learned by dialling. */
  readonly peerId?: string;
  /** Never empty. */
  readonly multiaddrs: readonly Multiaddr[];
}

/** Where the first peers come from. The node itself may be among them. */
export interface Bootstrapper {
  /**
   * The peers known at this moment; none is an answer.
   *
   * @throws {BootstrapError} when there is no answer.
   */
  find(signal: AbortSignal): Promise<readonly BootstrapPeer[]>;
}

/** Peers of one answer that are looked at. */
export const MAX_BOOTSTRAP_PEERS = 5000;

/** There is no answer to who the peers are; the message says from whom and why. */
export class BootstrapError extends Error {
  override readonly name = 'BootstrapError';
  readonly code = 'ERR_BOOTSTRAP';
}
