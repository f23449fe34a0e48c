import type { PeerId } from '@libp2p/interface';
import type { Multiaddr } from '@multiformats/multiaddr';

import type { AddressedPeer } from './address-book.ts';
import { isLoopback, tcpAddress } from './announced-addresses.ts';
import { Contacts } from './contacts.ts';
import { ExpiringSet } from '../../timing/expiring-set.ts';
import { kadIdOf, peerBytes, prefixOf } from '../dht/kademlia.ts';
import type { KeySpacePoint } from '../dht/kademlia.ts';
import { hostOf } from './host-of.ts';
import { DHT_PROTOCOL, routingTableOf } from './libp2p-node.ts';
import type { RoutingNode } from './libp2p-node.ts';

/** A peer of the DHT, which keeps records. */
export interface DhtPeer extends KeySpacePoint {
  readonly id: PeerId;
  readonly text: string;
  /** The multihash of the ID as a string, see `peerBytes`. */
  readonly bytes: string;
  /** Its addresses, when it is known only from the answer of another peer. */
  readonly multiaddrs?: readonly Multiaddr[];
}

/** How long a peer that has lost its connection stays a member: long enough for it to connect again. */
const GRACE_MS = 3000;
/** How long a peer that did not answer in time counts as unresponsive, unless it answers meanwhile. */
const UNRESPONSIVE_MS = 30_000;
/**
 * How long a peer is a member before it counts as established, which means that it has the records it is to keep.
 * Providers send them as soon as they know the peer. In a busy cluster that restarts this takes some seconds.
 */
export const ESTABLISHED_MS = 30_000;
/**
 * Maximum number of members at one host, those that are known for the longest time; further identities are served, but
 * keep no records and are not asked. With fewer than the 20 that keep a record, a host with many identities is never all
 * that a key has. A node has one identity; a NAT may have several nodes behind it.
 */
export const MAX_MEMBERS_OF_HOST = 8;
/** Maximum number of unresponsive peers remembered; the oldest is forgotten. */
const MAX_UNRESPONSIVE = 10_000;

/** Options of {@link Membership}. */
export interface MembershipInit {
  /** Default {@link ESTABLISHED_MS}. */
  readonly establishedMs?: number;
  /** The addresses that a peer has announced itself. */
  readonly addressesOf?: (peerId: string) => AddressedPeer | undefined;
  /**
   * With more members than this, nodes end connections that they do not need: a peer whose connection ends is a contact
   * then. Default: it has left the network.
   */
  readonly maxConnections?: number;
}

/** @param multiaddrs see {@link DhtPeer} */
export function dhtPeer(id: PeerId, multiaddrs?: readonly Multiaddr[]): DhtPeer {
  const bytes = peerBytes(id.toMultihash().bytes);
  const peer = { id, text: id.toString(), bytes, prefix: prefixOf(kadIdOf(id)) };
  return multiaddrs === undefined ? peer : { ...peer, multiaddrs };
}

/**
 * The members of the DHT that this node knows: connected peers that speak the protocol, the peers of the routing
 * table, and contacts, which are peers that others have named. Connected peers are members as soon as they are
 * identified, before the routing table has verified them. A peer whose connection ends is removed after a short grace
 * period; kad-dht alone would keep it until its bucket is full. A contact that does not answer is removed at once.
 */
export class Membership {
  readonly #node: RoutingNode;
  readonly #init: MembershipInit;
  readonly #onChange = new Set<() => void>();
  readonly #onReturn = new Set<(peer: DhtPeer) => void>();
  readonly #onUnresponsive = new Set<(peer: DhtPeer) => void>();
  readonly #connected = new Map<string, DhtPeer>();
  readonly #contacts = new Contacts();
  /** Peer ID -> time of its connection. */
  readonly #since = new Map<string, number>();
  /** Peer ID -> the host that it is connected from. */
  readonly #hosts = new Map<string, string>();
  readonly #establishedMs: number;
  readonly #departures = new Map<string, NodeJS.Timeout>();
  readonly #unresponsive = new ExpiringSet(MAX_UNRESPONSIVE);
  #members: DhtPeer[] | undefined;
  #verified: DhtPeer[] | undefined;
  #verifiedIds: ReadonlySet<string> | undefined;
  #topologyId: string | undefined;

  constructor(node: RoutingNode, init: MembershipInit = {}) {
    this.#node = node;
    this.#init = init;
    this.#establishedMs = init.establishedMs ?? ESTABLISHED_MS;
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
    this.#onReturn.clear();
    this.#onUnresponsive.clear();
  }

  /** All members except this node; the same array until something changes. */
  members(): readonly DhtPeer[] {
    this.#members ??= this.#withinHosts([...this.verified(), ...this.#contacts.peers()]);
    return this.#members;
  }

  /**
   * The members that this node has spoken with, except itself: the only ones that it names to others. The same array
   * until something changes.
   */
  verified(): readonly DhtPeer[] {
    if (this.#verified === undefined) {
      const verified = new Map(this.#connected);
      for (const { peerId } of routingTableOf(this.#node).kb.toIterable()) {
        const text = peerId.toString();
        // The table removes a peer that became a contact later than this node does.
        const isElsewhere = verified.has(text) || this.isContact(text);
        if (isElsewhere || peerId.equals(this.#node.peerId)) continue;
        verified.set(text, dhtPeer(peerId));
      }
      this.#verified = this.#withinHosts([...verified.values()]);
    }
    return this.#verified;
  }

  /** At most {@link MAX_MEMBERS_OF_HOST} of each host, the first ones. Those of this host itself are not counted. */
  #withinHosts(peers: readonly DhtPeer[]): DhtPeer[] {
    const counts = new Map<string, number>();
    return peers.filter((peer) => {
      const host = this.hostOf(peer);
      if (host === undefined) return true;
      const count = (counts.get(host) ?? 0) + 1;
      counts.set(host, count);
      return count <= MAX_MEMBERS_OF_HOST;
    });
  }

  /** The host that the peer is connected from, or at which others name it; undefined for one at this host itself. */
  hostOf({ text, multiaddrs }: Pick<DhtPeer, 'text' | 'multiaddrs'>): string | undefined {
    const host = this.#hosts.get(text) ?? multiaddrs?.map(hostOf)[0];
    return host === undefined || isLoopback(host) ? undefined : host;
  }

  isContact(peerId: string): boolean {
    return this.#contacts.has(peerId);
  }

  isConnected(peerId: string): boolean {
    return this.#connected.has(peerId);
  }

  /**
   * Adds peers that another one has named as contacts. Those that did not answer lately are left out.
   *
   * @returns how many of them are new
   */
  learn(peers: readonly AddressedPeer[], namedBy: DhtPeer): number {
    const own = this.#node.peerId.toString();
    this.#verifiedIds ??= new Set(this.verified().map(({ text }) => text));
    const known = this.#verifiedIds;
    const strangers = peers.filter(
      ({ peerId }) =>
        peerId !== own &&
        !known.has(peerId) &&
        !this.isConnected(peerId) &&
        !this.isUnresponsive(peerId),
    );
    const added = this.#contacts.add(strangers, { namedBy: namedBy.text });
    if (added > 0) {
      this.#members = undefined;
      this.#tell();
    }
    return added;
  }

  /** Calls back whenever members join or leave, until {@link stop}. */
  onChange(listener: () => void): void {
    this.#onChange.add(listener);
  }

  /**
   * Calls back whenever a peer has lost its connection and is back so soon that it stayed a member, until {@link stop}. It
   * may be another process with its identity, which a restart takes a second for, and then it has no records.
   */
  onReturn(listener: (peer: DhtPeer) => void): void {
    this.#onReturn.add(listener);
  }

  /** Calls back whenever a peer did not answer in time, until {@link stop}. */
  onUnresponsive(listener: (peer: DhtPeer) => void): void {
    this.#onUnresponsive.add(listener);
  }

  /** Records that a peer did not answer in time. */
  markUnresponsive(peer: DhtPeer): void {
    for (const listener of this.#onUnresponsive) listener(peer);
    this.#unresponsive.add(peer.text, UNRESPONSIVE_MS);
    this.dropContact(peer.text);
  }

  /** Removes a contact that cannot be reached. A peer that is connected stays. */
  dropContact(peerId: string): void {
    if (this.#contacts.drop(peerId)) this.#changed();
  }

  /** Records that a peer has answered. */
  markResponsive(peer: DhtPeer): void {
    this.#unresponsive.delete(peer.text);
    this.#contacts.answered(peer.text);
  }

  /**
   * Makes a connected peer a contact, so that its connection can be ended without loss.
   *
   * @returns false when no address of the peer is known: it stays connected
   */
  release({ id, text }: DhtPeer): boolean {
    const known = this.#init.addressesOf?.(text);
    if (known === undefined || !this.#connected.delete(text)) return false;
    this.#hosts.delete(text);
    this.#forgetTableEntry(id);
    const since = this.#since.get(text);
    this.#contacts.add([known], since === undefined ? {} : { since });
    this.#since.delete(text);
    this.#changed();
    return true;
  }

  /**
   * Whether the peer has answered for so long that it has all records it is to keep. That others have named it proves
   * nothing.
   */
  isEstablished(peerId: string): boolean {
    const since = this.#since.get(peerId) ?? this.#contacts.since(peerId);
    return since !== undefined && performance.now() - since >= this.#establishedMs;
  }

  /** The remote IP of the connection with a peer of the DHT; undefined when there is none. */
  connectedIp(peerId: string): string | undefined {
    const peer = this.#connected.get(peerId);
    const [connection] = peer === undefined ? [] : this.#node.getConnections(peer.id);
    return connection && tcpAddress(connection.remoteAddr)?.ip;
  }

  isUnresponsive(peerId: string): boolean {
    return this.#unresponsive.has(peerId);
  }

  #arrived(id: PeerId): void {
    const peer = dhtPeer(id);
    const isBack = this.#departures.has(peer.text);
    clearTimeout(this.#departures.get(peer.text));
    this.#departures.delete(peer.text);
    this.markResponsive(peer);
    if (isBack) for (const listener of this.#onReturn) listener(peer);
    if (!this.#since.has(peer.text)) {
      this.#since.set(peer.text, this.#contacts.since(peer.text) ?? performance.now());
    }
    this.#contacts.delete(peer.text);
    const [connection] = this.#node.getConnections(id);
    if (connection !== undefined) this.#hosts.set(peer.text, hostOf(connection.remoteAddr));
    if (this.#connected.has(peer.text)) return;
    this.#connected.set(peer.text, peer);
    this.#changed();
  }

  #left(id: PeerId): void {
    const peer = dhtPeer(id);
    // It was released.
    if (!this.#connected.has(peer.text)) return;
    this.markUnresponsive(peer);
    // It may have lost its records, and gets no new ones meanwhile.
    this.#since.delete(peer.text);
    clearTimeout(this.#departures.get(peer.text));
    const timer = setTimeout(() => {
      this.#departures.delete(peer.text);
      if (this.#node.getConnections(id).length > 0) return;
      const isCrowded = this.members().length > (this.#init.maxConnections ?? Infinity);
      const known = isCrowded ? this.#init.addressesOf?.(peer.text) : undefined;
      this.#connected.delete(peer.text);
      this.#hosts.delete(peer.text);
      if (known !== undefined) this.#contacts.add([known]);
      this.#changed();
      this.#forgetTableEntry(id);
    }, GRACE_MS);
    this.#departures.set(peer.text, timer);
  }

  #forgetTableEntry(id: PeerId): void {
    // It rejects when the table is being stopped.
    routingTableOf(this.#node)
      .remove(id)
      .catch(() => undefined);
  }

  readonly #changed = (): void => {
    this.#members = undefined;
    this.#verified = undefined;
    this.#verifiedIds = undefined;
    this.#tell();
  };

  #tell(): void {
    for (const listener of this.#onChange) listener();
  }
}
