import { peerIdFromString } from '@libp2p/peer-id';
import type { Multiaddr } from '@multiformats/multiaddr';
import { LRUCache } from 'lru-cache';

import { ExpiringSet } from '../../timing/expiring-set.ts';
import type { AddressedPeer } from './address-book.ts';
import { dhtPeer } from './membership.ts';
import type { DhtPeer } from './membership.ts';

/**
 * Maximum number of contacts. In the largest clusters that is a part of all nodes, so that most look-ups begin next to their key. The
 * one named longest ago goes first.
 */
const MAX_CONTACTS = 2000;
/**
 * Maximum number of contacts by the word of one peer. An honest one names those that it is connected with: as many as
 * `--max-connections`, and more for a short time.
 */
const MAX_NAMED_BY_ONE = 400;
/** How long a contact stays without being named again: a node learns of all others in a fraction of this time. */
const VALID_MS = 45 * 60_000;
/** How often those that are not valid any more are looked for at most. */
const PURGE_MS = 60_000;
/** How long a peer that did not answer is not taken again. It may be this machine that is busy. */
const FAILED_MS = 60_000;
/** Maximum number of peers remembered as failed. */
const MAX_FAILED = 10_000;

interface Contact {
  readonly peer: DhtPeer;
  /** When it answered first, as by `performance.now`; undefined while it is known from others only. */
  since: number | undefined;
  /** The peer that named it first. */
  readonly namedBy: string | undefined;
}

/** Options of {@link Contacts.add}. */
export interface ContactSource {
  /** When the peers answered first, as by `performance.now`. Default: they have not. */
  readonly since?: number;
  /** The peer that names them. Default: this node has been connected with them. */
  readonly namedBy?: string;
}

/**
 * Peers that other peers have named and that this node is not connected with. The answer of a peer proves
 * nothing about a contact: this node dials it, and drops it when it does not answer.
 */
export class Contacts {
  // A limit by size, and not by number: with `max`, lru-cache reserves memory for all entries at once.
  readonly #contacts = new LRUCache<string, Contact>({
    maxSize: MAX_CONTACTS,
    sizeCalculation: () => 1,
    ttl: VALID_MS,
    dispose: ({ namedBy }, peerId, reason) => {
      this.#count(namedBy, -1);
      if (reason !== 'set') this.#peers.delete(peerId);
    },
  });
  /** The same contacts: lists of them are made at each change of the members, and the cache takes ten times as long. */
  readonly #peers = new Map<string, DhtPeer>();
  #purgedAt = performance.now();
  /** Peer -> number of contacts that it named first. */
  readonly #named = new Map<string, number>();
  readonly #failed = new ExpiringSet(MAX_FAILED);

  /**
   * Adds those that have an address and did not fail lately, up to {@link MAX_NAMED_BY_ONE} from one peer.
   *
   * @returns how many of them are new
   */
  add(peers: readonly AddressedPeer[], { since, namedBy }: ContactSource = {}): number {
    let added = 0;
    for (const { peerId, multiaddrs } of peers) {
      if (multiaddrs.length === 0 || this.#hasFailed(peerId, multiaddrs)) continue;
      const known = this.#contacts.get(peerId);
      if (known === undefined) {
        if (this.#isExhausted(namedBy)) continue;
        added += 1;
      }
      const source = known === undefined ? namedBy : known.namedBy;
      this.#count(source, 1);
      // The addresses that were named first stay: a peer cannot redirect a contact that another one has named.
      const peer = known?.peer ?? dhtPeer(peerIdFromString(peerId), multiaddrs);
      if (known === undefined) this.#peers.set(peerId, peer);
      this.#contacts.set(peerId, {
        namedBy: source,
        peer,
        since: known?.since ?? since,
      });
    }
    return added;
  }

  has(peerId: string): boolean {
    return this.#contacts.has(peerId);
  }

  /** When the contact answered first, as by `performance.now`. */
  since(peerId: string): number | undefined {
    return this.#contacts.peek(peerId)?.since;
  }

  /** Records that the contact has answered. */
  answered(peerId: string): void {
    const contact = this.#contacts.peek(peerId);
    if (contact !== undefined) contact.since ??= performance.now();
  }

  peers(): DhtPeer[] {
    const now = performance.now();
    if (now - this.#purgedAt >= PURGE_MS) {
      this.#purgedAt = now;
      this.#contacts.purgeStale();
    }
    return [...this.#peers.values()];
  }

  /** Removes a contact that did not answer, and does not take it there again for a while; whether there was one. */
  drop(peerId: string): boolean {
    const contact = this.#contacts.peek(peerId);
    if (contact === undefined) return false;
    this.#contacts.delete(peerId);
    // At other addresses it is taken at once: one that names wrong ones does not keep the right ones out.
    this.#failed.add(placeOf(peerId, contact.peer.multiaddrs), FAILED_MS);
    return true;
  }

  /** Removes a contact that is a connected peer now. */
  delete(peerId: string): void {
    this.#contacts.delete(peerId);
  }

  /** Whether the peer has named as many as it may. */
  #isExhausted(namedBy: string | undefined): boolean {
    const isFull = (): boolean =>
      namedBy !== undefined && (this.#named.get(namedBy) ?? 0) >= MAX_NAMED_BY_ONE;
    if (isFull()) this.#contacts.purgeStale();
    return isFull();
  }

  #count(namedBy: string | undefined, change: number): void {
    if (namedBy === undefined) return;
    const count = (this.#named.get(namedBy) ?? 0) + change;
    if (count > 0) this.#named.set(namedBy, count);
    else this.#named.delete(namedBy);
  }

  #hasFailed(peerId: string, multiaddrs: readonly Multiaddr[]): boolean {
    return !this.#failed.empty && this.#failed.has(placeOf(peerId, multiaddrs));
  }
}

function placeOf(peerId: string, multiaddrs: readonly Multiaddr[] = []): string {
  return [peerId, ...multiaddrs.map(String).sort()].join(' ');
}
