import { isLoopback, tcpAddress } from '../node/announced-addresses.ts';
import type { AddressBook, AddressedPeer } from '../node/address-book.ts';
import type { Membership } from '../node/membership.ts';
import type { OwnAddresses } from '../node/own-addresses.ts';
import { providerFromPeer } from './provider-origins.ts';
import type { ProviderRecords } from '../dht/provider-records.ts';
import type { Provider } from '../router.ts';

/** Providers read for one key from the records here. */
const MAX_RECORDED = 200;

/** What {@link ProviderView} works with. */
export interface ProviderViewComponents {
  readonly records: ProviderRecords;
  readonly addressBook: AddressBook;
  readonly membership: Membership;
  readonly addresses: OwnAddresses;
}

/** Options of {@link ProviderView}. */
export interface ProviderViewInit {
  readonly ownPeerId: string;
  /** The registry port of peers that do not announce theirs. */
  readonly registryPort: number;
  /** See `ProviderFromPeerOptions`. */
  readonly tlsOnly?: boolean;
}

interface Remembered {
  readonly connectedIp: string | undefined;
  readonly provider: Provider | undefined;
}

/** Makes providers of peers: where their registry is, by what they say of themselves. */
export class ProviderView {
  readonly #components: ProviderViewComponents;
  readonly #init: ProviderViewInit;
  /** The provider made of an entry of the address book: the same for all keys of the peer. */
  readonly #remembered = new WeakMap<AddressedPeer, Remembered>();

  constructor(components: ProviderViewComponents, init: ProviderViewInit) {
    this.#components = components;
    this.#init = init;
  }

  /** The providers that the records here name for a key, and that it is known of where they are. */
  recorded(recordKey: string): Provider[] {
    const { records, addressBook } = this.#components;
    const providers: Provider[] = [];
    for (const peerId of records.providers(recordKey, MAX_RECORDED)) {
      const peer = addressBook.get(peerId);
      const provider = peer === undefined ? undefined : this.#rememberedProvider(peer);
      if (provider !== undefined) providers.push(provider);
    }
    return providers;
  }

  /** The providers that another peer has named; what they say of themselves counts more than what it says. */
  named(peers: readonly AddressedPeer[]): Provider[] {
    const providers: Provider[] = [];
    for (const peer of peers) {
      const own = this.#components.addressBook.get(peer.peerId);
      const provider = own === undefined ? this.#provider(peer) : this.#rememberedProvider(own);
      if (provider !== undefined) providers.push(provider);
    }
    return providers;
  }

  /** Where the registry of a peer is that we are connected with, by what it says of itself; undefined of others. */
  locate(peerId: string): Provider | undefined {
    const peer = this.#components.addressBook.get(peerId);
    const provider = peer === undefined ? undefined : this.#rememberedProvider(peer);
    return provider !== undefined && this.isPresent(provider) ? provider : undefined;
  }

  /** Whether the provider can be expected to be there. */
  isPresent({ peerId }: Provider): boolean {
    const { membership } = this.#components;
    return membership.connectedIp(peerId) !== undefined && !membership.isUnresponsive(peerId);
  }

  #rememberedProvider(peer: AddressedPeer): Provider | undefined {
    const connectedIp = this.#components.membership.connectedIp(peer.peerId);
    const remembered = this.#remembered.get(peer);
    if (remembered !== undefined && remembered.connectedIp === connectedIp) {
      return remembered.provider;
    }
    const provider = this.#provider(peer);
    this.#remembered.set(peer, { connectedIp, provider });
    return provider;
  }

  #provider(peer: AddressedPeer): Provider | undefined {
    if (peer.peerId === this.#init.ownPeerId) return undefined;
    const { membership, addresses } = this.#components;
    const connectedIp = membership.connectedIp(peer.peerId);
    return providerFromPeer(peer, {
      registryPort: this.#init.registryPort,
      tlsOnly: this.#init.tlsOnly ?? false,
      loopback: addresses.current().some((address) => isLoopback(tcpAddress(address)?.ip ?? '')),
      ...(connectedIp !== undefined && { connectedIp }),
    });
  }
}
