import {
  FETCHER_RENEW_MS,
  FOLLOWER_RENEW_MS,
  MAX_DIGESTS_OF_PEER,
  MAX_MEMBERSHIPS,
  RENEW_MS_PER_MEMBER,
} from './bounds.ts';

/** The fractional part of multiples of it is spread evenly. */
const GOLDEN_RATIO = 0.618_033_988_75;

/** A peer that is a member of some digest. */
interface Peer {
  digests: number;
  heardAt: number;
}

/** How many members all digests of an arbiter have, how often these report, and when each was heard. */
export class Load {
  readonly #peers = new Map<string, Peer>();
  #members = 0;
  #leases = 0;
  #answers = 0;

  get members(): number {
    return this.#members;
  }

  /** Whether there are more members than the arbiter keeps. */
  get isFull(): boolean {
    return this.#members >= MAX_MEMBERSHIPS;
  }

  /** Peers that are a member of some digest. */
  get peers(): number {
    return this.#peers.size;
  }

  /** Counts a digest of this peer, unless it has too many. @returns whether it may become a member */
  join(peerId: string): boolean {
    const peer = this.#peers.get(peerId) ?? { digests: 0, heardAt: -Infinity };
    if (peer.digests >= MAX_DIGESTS_OF_PEER) return false;
    peer.digests += 1;
    this.#peers.set(peerId, peer);
    this.#members += 1;
    return true;
  }

  leave(peerId: string): void {
    const peer = this.#peers.get(peerId);
    if (peer === undefined) return;
    this.#members -= 1;
    peer.digests -= 1;
    if (peer.digests === 0) this.#peers.delete(peerId);
  }

  /** A member was heard, of whichever digest. */
  heard(peerId: string, now: number): void {
    const peer = this.#peers.get(peerId);
    if (peer !== undefined) peer.heardAt = now;
  }

  /** When this member of some digest was heard last. */
  heardAt(peerId: string): number {
    return this.#peers.get(peerId)?.heardAt ?? -Infinity;
  }

  /** Leases of a digest were given or ended. */
  addLeases(difference: number): void {
    this.#leases += difference;
  }

  /** When a fetcher reports next, in milliseconds. */
  fetcherRenewMs(): number {
    return Math.max(FETCHER_RENEW_MS, this.#leases * RENEW_MS_PER_MEMBER);
  }

  /** When a follower reports next, in milliseconds: up to a quarter earlier or later than others of the same moment. */
  followerRenewMs(): number {
    this.#answers += 1;
    const spread = 0.75 + ((this.#answers * GOLDEN_RATIO) % 1) / 2;
    return spread * Math.max(FOLLOWER_RENEW_MS, this.#members * RENEW_MS_PER_MEMBER);
  }
}
