import type { NetworkScale } from '../discovery/network-size.ts';
import type { ProviderRecords } from '../dht/provider-records.ts';
import type { AddressBook, AddressedPeer } from '../node/address-book.ts';
import type { AddressPolicy } from '../node/address-policy.ts';
import type { Membership } from '../node/membership.ts';
import type { OwnAddresses } from '../node/own-addresses.ts';
import type { PeerPlaces } from '../node/peer-places.ts';
import type { Provider } from '../router.ts';
import { namedByOthers, peerIdOf } from './named-provider.ts';
import { endpointOf, providerFromPeer } from './provider-origins.ts';

/** Maximum number of providers read for one key from the records here. */
const MAX_RECORDED = 200;

export interface ProviderViewComponents {
  readonly records: Pick<ProviderRecords, 'providers'>;
  readonly addressBook: Pick<AddressBook, 'get'>;
  readonly membership: Pick<Membership, 'connectedIp' | 'isContact' | 'isUnresponsive'>;
  readonly addresses: Pick<OwnAddresses, 'current'>;
  readonly policy: Pick<AddressPolicy, 'allows'>;
  /** Gets the addresses that peers name for other peers. Default: they are dropped. */
  readonly places?: Pick<PeerPlaces, 'named'>;
  readonly scale: Pick<NetworkScale, 'isLarge'>;
}

/** Options of {@link ProviderView}. */
export interface ProviderViewInit {
  readonly ownPeerId: string;
  /** The registry port of peers that do not announce theirs. */
  readonly registryPort: number;
  /** See `ProviderFromPeerOptions`. */
  readonly tlsOnly?: boolean;
}

interface CachedProvider {
  readonly connectedIp: string | undefined;
  readonly provider: Provider | undefined;
}

/** Turns peers into providers: finds where their registry is, from the addresses that they announce. */
export class ProviderView {
  readonly #components: ProviderViewComponents;
  readonly #init: ProviderViewInit;
  /** The provider made from an entry of the address book: the same for all keys of the peer. */
  readonly #cached = new WeakMap<AddressedPeer, CachedProvider>();

  constructor(components: ProviderViewComponents, init: ProviderViewInit) {
    this.#components = components;
    this.#init = init;
  }

  /** The providers with a record of the key here and with a known address. */
  recorded(recordKey: string): Provider[] {
    const { records, addressBook } = this.#components;
    const providers: Provider[] = [];
    for (const peerId of records.providers(recordKey, MAX_RECORDED)) {
      const peer = addressBook.get(peerId);
      const provider = peer === undefined ? undefined : this.#cachedProvider(peer);
      if (provider !== undefined) providers.push(provider);
    }
    return providers;
  }

  /**
   * The providers that another peer has named. The addresses that they announce themselves win over those it gives, which
   * have a name of their own, see `namedByOthers`.
   */
  named(peers: readonly AddressedPeer[]): Provider[] {
    const providers: Provider[] = [];
    for (const peer of peers) {
      const announced = this.#components.addressBook.get(peer.peerId);
      const provider =
        announced === undefined ? this.#provider(peer) : this.#cachedProvider(announced);
      if (provider === undefined) continue;
      if (announced === undefined) this.#components.places?.named(peer);
      providers.push(announced === undefined ? namedByOthers(provider) : provider);
    }
    return providers;
  }

  /** Where the registry of a connected peer is, from the addresses that it announces; undefined for other peers. */
  locate(peerId: string): Provider | undefined {
    const peer = this.#components.addressBook.get(peerId);
    const provider = peer === undefined ? undefined : this.#cachedProvider(peer);
    return this.#isConnected(peerId) ? provider : undefined;
  }

  /**
   * Whether a node can be at the base URL that another peer has named. A host name is refused: it could lead elsewhere by
   * the time when it is asked.
   */
  accepts(origin: string): boolean {
    const endpoint = endpointOf(origin);
    if (endpoint === undefined) return false;
    if (this.#init.tlsOnly === true && endpoint.scheme !== 'https') return false;
    return this.#components.policy.allows(endpoint);
  }

  /** This node as its peers see it. */
  self(): Provider | undefined {
    const multiaddrs = this.#components.addresses.current();
    return this.#toProvider({ peerId: this.#init.ownPeerId, multiaddrs });
  }

  /**
   * Whether the provider is expected to be reachable: this node is connected with it, others have named it, or the
   * network is so large that a node does not know all members.
   */
  isPresent({ peerId: name }: Provider): boolean {
    const peerId = peerIdOf(name);
    const { membership, scale } = this.#components;
    if (scale.isLarge || membership.isContact(peerId)) return !membership.isUnresponsive(peerId);
    return this.#isConnected(peerId);
  }

  /** Whether this node is connected with the peer, and it answers. */
  #isConnected(peerId: string): boolean {
    const { membership } = this.#components;
    return membership.connectedIp(peerId) !== undefined && !membership.isUnresponsive(peerId);
  }

  #cachedProvider(peer: AddressedPeer): Provider | undefined {
    const connectedIp = this.#components.membership.connectedIp(peer.peerId);
    const cached = this.#cached.get(peer);
    if (cached !== undefined && cached.connectedIp === connectedIp) return cached.provider;
    const provider = this.#provider(peer);
    this.#cached.set(peer, { connectedIp, provider });
    return provider;
  }

  /** Undefined for this node itself: it is no provider for itself. */
  #provider(peer: AddressedPeer): Provider | undefined {
    return peer.peerId === this.#init.ownPeerId ? undefined : this.#toProvider(peer);
  }

  #toProvider(peer: AddressedPeer): Provider | undefined {
    const { membership, policy } = this.#components;
    const connectedIp = membership.connectedIp(peer.peerId);
    return providerFromPeer(peer, {
      registryPort: this.#init.registryPort,
      tlsOnly: this.#init.tlsOnly ?? false,
      allows: (socket) => policy.allows(socket),
      ...(connectedIp !== undefined && { connectedIp }),
    });
  }
}
