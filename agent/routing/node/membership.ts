import type { PeerId } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';

import { tcpAddress } from './announced-addresses.ts';
import { kadIdOf, peerBytes, prefixOf } from '../dht/kademlia.ts';
import type { KeySpacePoint } from '../dht/kademlia.ts';
import { DHT_PROTOCOL, routingTableOf } from './libp2p-node.ts';
import type { RoutingNode } from './libp2p-node.ts';

/** A peer that keeps records of the DHT. */
export interface DhtPeer extends KeySpacePoint {
  readonly id: PeerId;
  readonly text: string;
  /** The multihash of the ID as a string, see `peerBytes`. */
  readonly bytes: string;
  /** Where it is, when only an answer of another peer has named it. */
  readonly multiaddrs?: readonly Multiaddr[];
}

/** How long a peer that has lost its connection stays a member: long enough for it to connect anew. */
const GRACE_MS = 3000;
/** How long a peer that did not answer in time is not waited for, unless it answers meanwhile. */
const UNRESPONSIVE_MS = 30_000;
/**
 * How long a peer is a member before it can be expected to have the records that it is to keep: others give
 * them to it as soon as they know of it, which takes a busy cluster that starts anew some seconds.
 */
const ESTABLISHED_MS = 30_000;
/** Peers under suspicion at most; the oldest is forgotten. */
const MAX_UNRESPONSIVE = 10_000;

/** A member of the DHT as this node sees it. */
export function dhtPeer(id: PeerId, multiaddrs?: readonly Multiaddr[]): DhtPeer {
  const bytes = peerBytes(id.toMultihash().bytes);
  const peer = { id, text: id.toString(), bytes, prefix: prefixOf(kadIdOf(id)) };
  return multiaddrs === undefined ? peer : { ...peer, multiaddrs };
}

/**
 * Who takes part in the DHT, as far as this node knows: the peers that it is connected with and that speak
 * the protocol (known as soon as they are identified, before the routing table has verified them), and
 * those of the routing table. A peer whose connection ends leaves both after a short grace, where kad-dht
 * alone would keep it until its bucket is full.
 */
export class Membership {
  readonly #node: RoutingNode;
  readonly #onChange = new Set<() => void>();
  readonly #onSuspect = new Set<(peer: DhtPeer) => void>();
  readonly #connected = new Map<string, DhtPeer>();
  /** When they came. */
  readonly #since = new Map<string, number>();
  readonly #establishedMs: number;
  readonly #departures = new Map<string, NodeJS.Timeout>();
  readonly #suspects = new Map<string, number>();
  #members: DhtPeer[] | undefined;
  #topologyId: string | undefined;

  /** @param establishedMs default {@link ESTABLISHED_MS} */
  constructor(node: RoutingNode, establishedMs = ESTABLISHED_MS) {
    this.#node = node;
    this.#establishedMs = establishedMs;
  }

  async start(): Promise<void> {
    const table = routingTableOf(this.#node);
    table.addEventListener('peer:add', this.#changed);
    table.addEventListener('peer:remove', this.#changed);
    this.#topologyId = await this.#node.register(DHT_PROTOCOL, {
      onConnect: (id) => {
        this.#arrived(id);
      },
      onDisconnect: (id) => {
        this.#left(id);
      },
    });
  }

  stop(): void {
    const table = routingTableOf(this.#node);
    table.removeEventListener('peer:add', this.#changed);
    table.removeEventListener('peer:remove', this.#changed);
    if (this.#topologyId !== undefined) this.#node.unregister(this.#topologyId);
    for (const timer of this.#departures.values()) clearTimeout(timer);
    this.#departures.clear();
    this.#onChange.clear();
    this.#onSuspect.clear();
  }

  /** All members but ourselves; the same array until something changes. */
  members(): readonly DhtPeer[] {
    if (this.#members === undefined) {
      const members = new Map(this.#connected);
      for (const { peerId } of routingTableOf(this.#node).kb.toIterable()) {
        const text = peerId.toString();
        if (!members.has(text) && !peerId.equals(this.#node.peerId)) {
          members.set(text, dhtPeer(peerId));
        }
      }
      this.#members = [...members.values()];
    }
    return this.#members;
  }

  /** Calls back whenever members come or go, until {@link stop}. */
  onChange(listener: () => void): void {
    this.#onChange.add(listener);
  }

  /** Calls back whenever a peer did not answer in time, until {@link stop}. */
  onUnresponsive(listener: (peer: DhtPeer) => void): void {
    this.#onSuspect.add(listener);
  }

  /** Notes that a peer did not answer in time. */
  markUnresponsive(peer: DhtPeer): void {
    for (const listener of this.#onSuspect) listener(peer);
    this.#suspects.delete(peer.text);
    this.#suspects.set(peer.text, performance.now() + UNRESPONSIVE_MS);
    const [oldest] = this.#suspects.keys();
    if (this.#suspects.size > MAX_UNRESPONSIVE && oldest !== undefined)
      this.#suspects.delete(oldest);
  }

  /** Notes that a peer did answer. */
  markResponsive(peer: DhtPeer): void {
    this.#suspects.delete(peer.text);
  }

  /** Whether the peer has been connected for so long that it has all records that it is to keep. */
  isEstablished(peerId: string): boolean {
    const since = this.#since.get(peerId);
    return since !== undefined && performance.now() - since >= this.#establishedMs;
  }

  /** The IP at which the node is connected with a peer of the DHT; undefined when it is not. */
  connectedIp(peerId: string): string | undefined {
    const peer = this.#connected.get(peerId);
    const [connection] = peer === undefined ? [] : this.#node.getConnections(peer.id);
    return connection && tcpAddress(connection.remoteAddr)?.ip;
  }

  isUnresponsive(peerId: string): boolean {
    const until = this.#suspects.get(peerId);
    return until !== undefined && until > performance.now();
  }

  #arrived(id: PeerId): void {
    const peer = dhtPeer(id);
    clearTimeout(this.#departures.get(peer.text));
    this.#departures.delete(peer.text);
    this.markResponsive(peer);
    if (!this.#since.has(peer.text)) this.#since.set(peer.text, performance.now());
    if (this.#connected.has(peer.text)) return;
    this.#connected.set(peer.text, peer);
    this.#changed();
  }

  #left(id: PeerId): void {
    const peer = dhtPeer(id);
    this.markUnresponsive(peer);
    // It may have lost its records, and hears of no new ones meanwhile.
    this.#since.delete(peer.text);
    clearTimeout(this.#departures.get(peer.text));
    const timer = setTimeout(() => {
      this.#departures.delete(peer.text);
      if (this.#node.getConnections(id).length > 0) return;
      this.#connected.delete(peer.text);
      this.#changed();
      // A table that is being stopped has nothing to remove it from.
      routingTableOf(this.#node)
        .remove(id)
        .catch(() => undefined);
    }, GRACE_MS);
    this.#departures.set(peer.text, timer);
  }

  readonly #changed = (): void => {
    this.#members = undefined;
    for (const listener of this.#onChange) listener();
  };
}
