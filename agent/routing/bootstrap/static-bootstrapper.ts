import { multiaddr } from '@multiformats/multiaddr';

import type { Bootstrapper, BootstrapPeer } from './bootstrapper.ts';

/** A fixed list of peers by multiaddr, with or without a peer ID (`/p2p/...`). */
export class StaticBootstrapper implements Bootstrapper {
  readonly #peers: readonly BootstrapPeer[];

  /** @throws Error when one of them is not a multiaddr */
  constructor(multiaddrs: readonly string[]) {
    this.#peers = multiaddrs.map((text) => {
      const address = multiaddr(text);
      const peerId = address.getComponents().find(({ name }) => name === 'p2p')?.value;
      return { multiaddrs: [address], ...(peerId !== undefined && { peerId }) };
    });
  }

  find(): Promise<readonly BootstrapPeer[]> {
    return Promise.resolve(this.#peers);
  }
}
