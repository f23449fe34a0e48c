import type { Logger } from 'pino';

import { Deadline } from '../../timing/deadline.ts';
import { isAborted } from '../../timing/pause.ts';
import type { AnnounceClient, CarriedByPeer } from '../announce/announce-client.ts';
import type { SignedAnnouncement } from '../announce/announcement.ts';
import { halfOf, HALVES } from '../announce/carrier.ts';
import type { Carrier, Half } from '../announce/carrier.ts';
import { isWithin } from '../announce/region-layout.ts';
import type { RegionId } from '../announce/region-layout.ts';
import type { NodeLookup } from '../discovery/node-lookup.ts';
import { closest, K } from '../dht/kademlia.ts';
import type { RoutingKey } from '../dht/key.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import type { DirectRecords } from './direct-records.ts';

/** How long a carrier may take, in milliseconds: it passes the announcement on meanwhile. */
const CARRY_TIMEOUT_MS = 8000;
/** How long all attempts for one announcement may take, in milliseconds: members may be named that do not exist. */
const SEARCH_TIMEOUT_MS = 30_000;
/** Peers that are tried as carriers of one half of an announcement. */
const MAX_TRIED = 8;
/** Fewer peers than this are not what half of a region should take: another carrier is tried too. */
const FEW = 3;
/** The name of libp2p's error for a protocol that the peer does not speak. */
const UNSUPPORTED = 'UnsupportedProtocolError';

export interface CarrierSearchComponents {
  readonly self: DhtPeer;
  readonly membership: Pick<
    Membership,
    | 'members'
    | 'isConnected'
    | 'isContact'
    | 'isEstablished'
    | 'isUnresponsive'
    | 'markUnresponsive'
  >;
  readonly lookup: Pick<NodeLookup, 'find'>;
  readonly carrier: Pick<Carrier, 'carry'>;
  readonly announceClient: Pick<AnnounceClient, 'announce'>;
  readonly direct: Pick<DirectRecords, 'send' | 'sendNamed'>;
  readonly logger: Logger;
}

/** What an announcement is about. */
export interface CarriedKeys {
  readonly region: RegionId;
  /** All keys that it provides or withdraws, at least one. */
  readonly keys: readonly RoutingKey[];
}

/** What an attempt to have one half carried came to. */
interface HalfCarried {
  /** Peers that have the records now. */
  taken: number;
  /** See {@link CarriedByPeer}. */
  sequence: number;
  /** Members of the region that do not speak the protocol. */
  readonly strangers: DhtPeer[];
}

/** Finds members of a region that pass an announcement on there. */
export class CarrierSearch {
  readonly #components: CarrierSearchComponents;

  constructor(components: CarrierSearchComponents) {
    this.#components = components;
  }

  /**
   * Has the announcement carried by two members of its region, each to one half of the peers; by this node when it is
   * one of them. Peers that do not speak the protocol are sent the records.
   *
   * @returns the highest sequence that peers have seen of this node and that is above that of the announcement, or 0
   * @throws Error when one of the halves was not carried
   */
  async carry(
    announcement: SignedAnnouncement,
    { region, keys }: CarriedKeys,
    stop: AbortSignal,
  ): Promise<number> {
    using deadline = new Deadline(SEARCH_TIMEOUT_MS, stop);
    const { signal } = deadline;
    const { self, carrier, direct } = this.#components;
    if (isWithin(region, self.prefix)) {
      const carried = await carrier.carry(announcement, undefined, signal);
      const sent = await direct.send(carried.strangers, announcement, signal);
      if (carried.taken + sent === 0) throw new Error('no neighbour took it');
      return carried.sequence;
    }
    const target = keys[Math.floor(Math.random() * keys.length)];
    if (target === undefined) return 0;
    const candidates = await this.#candidates(region, target, signal);
    const halves = [];
    for (const half of HALVES) {
      halves.push(await this.#carryHalf(announcement, half, candidates, signal));
    }
    // Of both halves: those that were tried for the first one are not tried again for the other.
    const strangers = halves.flatMap((half) => half.strangers);
    for (const [half, { taken }] of halves.entries()) {
      if (taken > 0) continue;
      const isWithdrawal = announcement.provided.length === 0;
      const sent = await this.#sendToAll(announcement, { keys, half, strangers }, signal);
      // A withdrawal cannot be sent to those that do not speak the protocol.
      if (sent === 0 && !(isWithdrawal && strangers.length > 0)) {
        throw new Error('no member of the region took it');
      }
    }
    return Math.max(...halves.map(({ sequence }) => sequence));
  }

  /** Members of the region in random order: connected ones first, then those that have answered. */
  async #candidates(region: RegionId, key: RoutingKey, signal: AbortSignal): Promise<DhtPeer[]> {
    const { membership, lookup } = this.#components;
    const known = (): DhtPeer[] =>
      membership
        .members()
        .filter((peer) => isWithin(region, peer.prefix) && !membership.isUnresponsive(peer.text));
    const hasAnswered = ({ text }: DhtPeer): boolean =>
      !membership.isContact(text) || membership.isEstablished(text);
    let members = known();
    if (members.filter(hasAnswered).length < HALVES.length) {
      const found = await lookup.find(key.multihash, signal);
      members = known();
      // The region may be empty: then those closest to the key are in another one.
      if (members.length < HALVES.length) members = [...found];
    }
    const rank = (peer: DhtPeer): number => {
      if (membership.isConnected(peer.text)) return 0;
      return hasAnswered(peer) ? 1 : 2;
    };
    const shuffled = members.map((peer) => ({ peer, at: rank(peer) + Math.random() }));
    return shuffled.sort((a, b) => a.at - b.at).map(({ peer }) => peer);
  }

  /** Tries candidates until enough peers have taken it. Those that were tried go to the end, for the other half. */
  async #carryHalf(
    announcement: SignedAnnouncement,
    half: Half,
    candidates: DhtPeer[],
    signal: AbortSignal,
  ): Promise<HalfCarried> {
    const { direct, logger } = this.#components;
    const result: HalfCarried = { taken: 0, sequence: 0, strangers: [] };
    const count = Math.min(MAX_TRIED, candidates.length);
    for (let tried = 0; tried < count && result.taken < FEW && !signal.aborted; tried++) {
      const peer = candidates.shift();
      if (peer === undefined) break;
      try {
        const carried = await this.#announce(peer, announcement, half, signal);
        candidates.push(peer);
        result.taken +=
          carried.taken + (await direct.sendNamed(carried.strangers, peer, announcement, signal));
        result.sequence = Math.max(result.sequence, carried.sequence);
      } catch (err) {
        if (isAborted(signal)) break;
        logger.debug({ peerId: peer.text, err }, 'a member did not carry an announcement');
        if (err instanceof Error && err.name === UNSUPPORTED) result.strangers.push(peer);
        else this.#components.membership.markUnresponsive(peer);
      }
    }
    return result;
  }

  async #announce(
    peer: DhtPeer,
    { envelope }: SignedAnnouncement,
    half: Half,
    signal: AbortSignal,
  ): Promise<CarriedByPeer> {
    const { announceClient } = this.#components;
    return announceClient.announce(peer, { envelope, half }, CARRY_TIMEOUT_MS, signal);
  }

  /** Where no member speaks the protocol: sends the records to the closest to each key; how many have taken them. */
  async #sendToAll(
    announcement: SignedAnnouncement,
    { keys, half, strangers }: { keys: readonly RoutingKey[]; half: number; strangers: DhtPeer[] },
    signal: AbortSignal,
  ): Promise<number> {
    const { membership, lookup, direct } = this.#components;
    if (strangers.length === 0) return 0;
    const chosen = new Set<DhtPeer>();
    for (const key of keys) {
      if (chosen.size === 0) await lookup.find(key.multihash, signal);
      for (const peer of closest(key.target, membership.members(), K)) chosen.add(peer);
    }
    const peers = [...chosen].filter((peer) => halfOf(peer) === half);
    return direct.send(peers, announcement, signal);
  }
}
