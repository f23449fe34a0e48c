import { isIPv6, SocketAddress } from 'node:net';

import type { Connection } from '@libp2p/interface';
import { multiaddr } from '@multiformats/multiaddr';
import type { Multiaddr } from '@multiformats/multiaddr';
import { LRUCache } from 'lru-cache';

import { ExpiringSet } from '../../timing/expiring-set.ts';
import { withPeerId } from '../dht/peer-dialer.ts';
import { endpointOf } from '../lookup/provider-origins.ts';
import type { AddressBook, AddressedPeer } from './address-book.ts';
import type { AddressPolicy } from './address-policy.ts';
import { dialable, isRegistryAddress, tcpAddress } from './announced-addresses.ts';
import type { RoutingNode } from './libp2p-node.ts';
import { NotThereError } from './not-there-error.ts';
import type { OwnAddresses } from './own-addresses.ts';

/** How long a peer counts as being where its last connection was, in milliseconds. */
const VALID_MS = 10 * 60_000;
/** How long a peer is not looked for again where it was not, in milliseconds. */
const ABSENT_MS = 10_000;
/** Maximum number of pairs of peer and IP that are remembered, in each list. */
const MAX_PLACES = 20_000;
/** Maximum number of peers whose addresses are remembered that others have named, and of base URLs. */
const MAX_NAMED = 2_000;
/** How long a peer may take to prove that it is there, in milliseconds. */
const PROOF_MS = 2_000;
/** Maximum number of proofs under way. */
const MAX_PROOFS = 32;
/** Maximum number of ports that are dialled at one IP. */
const MAX_PORTS = 4;
/** Where a router listens that is known by its IP only. */
const DEFAULT_ROUTER_PORT = 5001;

/** What noise says of a handshake that proves another identity. libp2p keeps nothing else of that error. */
const OTHER_PEER = 'does not match expected';

/** Components of {@link PeerPlaces}. */
export interface PeerPlacesComponents {
  readonly node: Pick<
    RoutingNode,
    'dial' | 'getConnections' | 'addEventListener' | 'removeEventListener'
  >;
  readonly addressBook: Pick<AddressBook, 'get'>;
  readonly addresses: Pick<OwnAddresses, 'current'>;
  readonly policy: Pick<AddressPolicy, 'allows'>;
}

/**
 * Where peers have proved to be: a connection with them goes there, and its handshake has proved who they are. Peers name
 * addresses, their own and those of others, and this node is not to send requests to whatever is there. So a peer that has
 * several addresses, or that this node is not connected with, is dialled there before the first request.
 */
export class PeerPlaces {
  readonly #components: PeerPlacesComponents;
  readonly #present = new ExpiringSet(MAX_PLACES);
  // Limits by size, and not by number: with `max`, lru-cache reserves memory for all entries at once.
  readonly #absent = new LRUCache<string, NotThereError>({
    maxSize: MAX_PLACES,
    sizeCalculation: () => 1,
    ttl: ABSENT_MS,
  });
  readonly #proofs = new Map<string, Promise<void>>();
  /** The IP of each base URL that was asked lately. */
  readonly #ips = new LRUCache<string, string>({ maxSize: MAX_NAMED, sizeCalculation: () => 1 });
  /** Where others say that peers are, which have announced no address here. */
  readonly #named = new LRUCache<string, readonly Multiaddr[]>({
    maxSize: MAX_NAMED,
    sizeCalculation: () => 1,
  });

  constructor(components: PeerPlacesComponents) {
    this.#components = components;
  }

  start(): void {
    const { node } = this.#components;
    node.addEventListener('connection:open', this.#opened);
    node.addEventListener('connection:close', this.#closed);
  }

  stop(): void {
    const { node } = this.#components;
    node.removeEventListener('connection:open', this.#opened);
    node.removeEventListener('connection:close', this.#closed);
  }

  /** Remembers addresses that others name for a peer. The peer is dialled there before the first request. */
  named({ peerId, multiaddrs }: AddressedPeer): void {
    this.#named.set(peerId, multiaddrs);
  }

  /**
   * Finds out whether the peer is at a base URL.
   *
   * @param origin see `Provider`
   * @returns undefined when the peer has proved to be there; otherwise a promise that resolves when it has, and rejects with
   *   {@link NotThereError} when it does not
   */
  confirm(peerId: string, origin: string): Promise<void> | undefined {
    const ip = this.#ipAt(origin);
    const place = placeOf(peerId, ip);
    if (this.#present.has(place)) return undefined;
    const absent = this.#absent.get(place);
    if (absent !== undefined) return Promise.reject(absent);
    const running = this.#proofs.get(place);
    if (running !== undefined) return running;
    if (this.#proofs.size >= MAX_PROOFS) {
      return Promise.reject(new NotThereError('too many peers are looked for', false));
    }
    const proof = this.#prove(peerId, ip).then(
      () => {
        this.#proofs.delete(place);
      },
      (error: unknown) => {
        this.#proofs.delete(place);
        const notThere = toNotThere(error);
        this.#absent.set(place, notThere);
        throw notThere;
      },
    );
    this.#proofs.set(place, proof);
    return proof;
  }

  /** Each request comes through here. */
  #ipAt(origin: string): string {
    const known = this.#ips.get(origin);
    if (known !== undefined) return known;
    const ip = canonical(endpointOf(origin)?.ip ?? '');
    this.#ips.set(origin, ip);
    return ip;
  }

  async #prove(peerId: string, ip: string): Promise<void> {
    const { node } = this.#components;
    const targets = this.#targets(peerId, ip);
    if (targets.length === 0) throw new NotThereError('no address to dial', false);
    const signal = AbortSignal.timeout(PROOF_MS);
    // libp2p may join another dial of the peer, which leads elsewhere.
    for (let attempt = 1; attempt <= 2; attempt += 1) {
      const connection = await node.dial(targets, { force: true, signal });
      const isThere = ipOf(connection) === ip;
      if (isThere) this.#present.add(placeOf(peerId, ip), VALID_MS);
      this.#endIfOther(connection);
      if (isThere) return;
    }
    throw new NotThereError('the peer is at another address', false);
  }

  /** One connection with a peer is enough. */
  #endIfOther(connection: Connection): void {
    const all = this.#components.node.getConnections(connection.remotePeer);
    if (all.some(({ id, status }) => id !== connection.id && status === 'open')) {
      connection.close().catch(() => undefined);
    }
  }

  /** Addresses of its router at this IP: those that it has announced, or others have named, or the usual ones. */
  #targets(peerId: string, ip: string): Multiaddr[] {
    const { addressBook, policy } = this.#components;
    const known = [
      ...(addressBook.get(peerId)?.multiaddrs ?? []),
      ...(this.#named.get(peerId) ?? []),
    ];
    const here = known.filter((address) => canonical(tcpAddress(address)?.ip ?? '') === ip);
    const routers = here.filter((address) => !isRegistryAddress(address));
    const candidates = routers.length > 0 ? routers : this.#usual(ip);
    const texts = dialable(candidates, (socket) => policy.allows(socket))
      .slice(0, MAX_PORTS)
      .map((address) => withPeerId(address, peerId).toString());
    return [...new Set(texts)].map((text) => multiaddr(text));
  }

  #usual(ip: string): Multiaddr[] {
    const own = this.#components.addresses.current().find((it) => !isRegistryAddress(it));
    const ports = [own && tcpAddress(own)?.port, DEFAULT_ROUTER_PORT];
    return ports
      .filter((port) => port !== undefined)
      .map((port) => multiaddr(`/${isIPv6(ip) ? 'ip6' : 'ip4'}/${ip}/tcp/${String(port)}`));
  }

  readonly #opened = ({ detail: connection }: CustomEvent<Connection>): void => {
    const place = placeOf(connection.remotePeer.toString(), ipOf(connection));
    this.#absent.delete(place);
    this.#present.add(place, Infinity);
  };

  readonly #closed = ({ detail: connection }: CustomEvent<Connection>): void => {
    const { remotePeer } = connection;
    const ip = ipOf(connection);
    const others = this.#components.node.getConnections(remotePeer);
    const isOpen = others.some((it) => it.id !== connection.id && ipOf(it) === ip);
    if (!isOpen) this.#present.add(placeOf(remotePeer.toString(), ip), VALID_MS);
  };
}

function placeOf(peerId: string, ip: string): string {
  return `${peerId} ${ip}`;
}

function ipOf({ remoteAddr }: Connection): string {
  return canonical(tcpAddress(remoteAddr)?.ip ?? '');
}

/** One text for each IP: IPv4 without its IPv6 form, IPv6 in its shortest form. */
function canonical(ip: string): string {
  if (!isIPv6(ip)) return ip;
  const { address } = new SocketAddress({ address: ip, family: 'ipv6' });
  return address.replace(/^::ffff:(?=\d+\.)/, '');
}

function toNotThere(error: unknown): NotThereError {
  if (error instanceof NotThereError) return error;
  const causes = error instanceof AggregateError ? (error.errors as unknown[]) : [error];
  const isOther = causes.some((it) => it instanceof Error && it.message.includes(OTHER_PEER));
  const message = isOther ? 'another peer is there' : 'the peer was not reached';
  return new NotThereError(message, isOther, { cause: error });
}
