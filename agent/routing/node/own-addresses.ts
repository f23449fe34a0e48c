import type { Multiaddr } from '@multiformats/multiaddr';

import { encodePeer } from '../dht/dht-messages.ts';
import type { RoutingNode } from './libp2p-node.ts';

/** Interval between checks of the host's addresses. */
const CHECK_MS = 10_000;

/**
 * The addresses that this node announces, kept in step with the host's, which may change while it runs.
 * Reading them from the system takes longer than a look-up, so they are read at intervals.
 */
export class OwnAddresses {
  readonly #node: RoutingNode;
  readonly #onChange: () => void;
  #current: readonly Multiaddr[] = [];
  #wire: Uint8Array = new Uint8Array(0);
  #timer: NodeJS.Timeout | undefined;

  /** @param onChange called when the addresses have changed after the start */
  constructor(node: RoutingNode, onChange: () => void) {
    this.#node = node;
    this.#onChange = onChange;
  }

  /** To be called when the node has started. */
  async start(): Promise<void> {
    await this.#read();
    this.#timer = setInterval(() => {
      this.refresh();
    }, CHECK_MS);
  }

  /** Reads the addresses before the next interval does; without effect unless the node runs. */
  refresh(): void {
    if (this.#timer === undefined) return;
    this.#read()
      .then((changed) => {
        if (changed) this.#onChange();
      })
      .catch(() => undefined);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  current(): readonly Multiaddr[] {
    return this.#current;
  }

  /** The encoding of this node in the lists of DHT messages. */
  get wire(): Uint8Array {
    return this.#wire;
  }

  async #read(): Promise<boolean> {
    const addresses = this.#node.getMultiaddrs();
    if (addresses.map(String).join() === this.#current.map(String).join()) return false;
    this.#current = addresses;
    this.#wire = encodePeer({
      id: this.#node.peerId.toMultihash().bytes,
      multiaddrs: addresses.map(({ bytes }) => bytes),
    });
    // Identify sends our peers the addresses in the peer store. libp2p itself writes them there once, a second after the
    // start.
    await this.#node.peerStore.patch(this.#node.peerId, { multiaddrs: addresses });
    return true;
  }
}
