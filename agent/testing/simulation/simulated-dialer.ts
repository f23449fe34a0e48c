import type { PeerId } from '@libp2p/interface';
import { isMultiaddr, type Multiaddr } from '@multiformats/multiaddr';

import { raceSignal } from '../../timing/race-signal.ts';
import { socketOf } from './node-network.ts';
import { SimulatedConnection } from './simulated-connection.ts';
import type { SimulatedNode } from './simulated-node.ts';
import { DIAL } from './traffic.ts';

/** From the SYN to the open connection of the dialler: TCP, then noise with yamux. See {@link DIAL}. */
const ROUND_TRIPS = 3;
/** How long a dial waits for an address that does not answer, in milliseconds; as in `libp2p-node.ts`. */
const TIMEOUT_MS = 10_000;

/**
 * Dials for a simulated node, as libp2p's connection manager does: a peer that is connected is not dialled, and those
 * that dial one peer at the same time share the dial.
 */
export class SimulatedDialer {
  readonly #node: SimulatedNode;
  readonly #dials = new Map<string, Promise<SimulatedConnection>>();

  constructor(node: SimulatedNode) {
    this.#node = node;
  }

  /** @throws Error when no address leads to the peer, or the signal aborts */
  async connect(
    target: PeerId | Multiaddr | Multiaddr[],
    signal?: AbortSignal,
  ): Promise<SimulatedConnection> {
    const { peerId, addresses } = this.#resolve(target);
    if (peerId === this.#node.peerId.toString()) throw new Error('Tried to dial self');
    const [present] = peerId === undefined ? [] : this.#node.connections(peerId);
    if (present !== undefined) return present;
    signal?.throwIfAborted();
    const key = peerId ?? addresses.map(socketOf).join();
    let dial = this.#dials.get(key);
    if (dial === undefined) {
      dial = this.#dialAll(addresses, peerId);
      this.#dials.set(key, dial);
      const end = (): void => {
        this.#dials.delete(key);
      };
      dial.then(end, end);
    }
    return raceSignal(dial, signal);
  }

  #resolve(target: PeerId | Multiaddr | Multiaddr[]): {
    readonly peerId: string | undefined;
    readonly addresses: readonly Multiaddr[];
  } {
    if (Array.isArray(target) || isMultiaddr(target)) {
      const addresses = Array.isArray(target) ? target : [target];
      const named = addresses[0]?.getComponents().find(({ name }) => name === 'p2p');
      return { peerId: named?.value, addresses };
    }
    return { peerId: target.toString(), addresses: this.#node.peerStore.addressesOf(target) };
  }

  async #dialAll(
    addresses: readonly Multiaddr[],
    peerId: string | undefined,
  ): Promise<SimulatedConnection> {
    let failure: unknown = new Error('the peer has no address');
    for (const address of addresses) {
      try {
        return await this.#dial(address, peerId);
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  async #dial(address: Multiaddr, peerId: string | undefined): Promise<SimulatedConnection> {
    const { network, traffic } = this.#node;
    const listener = network.at(socketOf(address));
    traffic.dials += 1;
    if (listener?.isOffline === true || this.#node.isOffline) {
      await this.#wait(TIMEOUT_MS);
      throw dialError('ETIMEDOUT', address);
    }
    if (listener === undefined) {
      await this.#wait(2 * network.delayMs);
      throw dialError('ECONNREFUSED', address);
    }
    network.count('dial', traffic, listener.traffic, DIAL.dialler);
    network.count('dial', listener.traffic, traffic, DIAL.listener);
    await this.#wait(2 * ROUND_TRIPS * network.delayMs);
    if (listener === this.#node) throw new Error('Tried to dial self');
    if (peerId !== undefined && listener.peerId.toString() !== peerId) {
      throw dialError('the handshake has named another peer', address);
    }
    if (this.#node.status !== 'started' || listener.status !== 'started') {
      throw dialError('ECONNRESET', address);
    }
    const [near, far] = SimulatedConnection.pair(this.#node, listener);
    this.#node.onConnectionOpen(near);
    near.carry(() => {
      if (far.status === 'open') listener.onConnectionOpen(far);
    });
    return near;
  }

  #wait(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      this.#node.network.after(milliseconds, resolve);
    });
  }
}

function dialError(why: string, address: Multiaddr): Error {
  return new Error(`cannot dial ${address.toString()}: ${why}`);
}
