import type { Logger } from 'pino';
import pLimit from 'p-limit';

import type { NetworkScale } from '../discovery/network-size.ts';
import { closest, K } from '../dht/kademlia.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import type { PeerProtocols } from '../node/peer-protocols.ts';
import { ANNOUNCE_PROTOCOL } from './announce-messages.ts';
import type { AnnounceClient } from './announce-client.ts';
import { targetOfRecord } from './announcement.ts';
import type { SignedAnnouncement } from './announcement.ts';
import { centreOf, isWithin, MAX_PARTS, regionOfLabel } from './region-layout.ts';
import type { RegionId } from './region-layout.ts';

/** How long one peer may take to take an announcement, in milliseconds. */
const PASS_TIMEOUT_MS = 3000;
/** Members closest to the middle of a region that may be among the closest to one of its keys. */
const MAX_RECIPIENTS = 96;
/** Nodes that a region may have at most: an announcement for more of them is not carried. */
const MAX_NODES_PER_REGION = 128;
/** Announcements that are carried at a time, and that may wait. */
const CONCURRENCY = 16;
const MAX_WAITING = 256;

/** A half of the peers: each of two carriers passes an announcement on to one. */
export type Half = 0 | 1;

export const HALVES: readonly Half[] = [0, 1];

/** Which half a peer belongs to: as many as not of those that are closest to a key. */
export function halfOf({ prefix }: Pick<DhtPeer, 'prefix'>): Half {
  return prefix % 2 === 0 ? 0 : 1;
}

export interface CarrierComponents {
  readonly membership: Pick<Membership, 'verified' | 'isUnresponsive'>;
  readonly protocols: Pick<PeerProtocols, 'of'>;
  readonly client: Pick<AnnounceClient, 'pass'>;
  readonly scale: Pick<NetworkScale, 'size'>;
  readonly logger: Logger;
}

/** What became of an announcement that was to be carried. */
export interface Carried {
  /** Number of peers that have taken it. */
  readonly taken: number;
  /** Peers that are to keep records of it and do not speak the protocol: the provider sends them the records itself. */
  readonly strangers: readonly DhtPeer[];
  /** The highest sequence of the provider among the peers that did not take it as it is too old; 0 when all took it. */
  readonly sequence: number;
}

/**
 * Passes the announcement of a provider on to the peers near this node that are to keep its records. A provider in
 * a large network is connected with few of those, and this node with nearly all.
 */
export class Carrier {
  readonly #components: CarrierComponents;
  readonly #limit = pLimit(CONCURRENCY);

  constructor(components: CarrierComponents) {
    this.#components = components;
  }

  /**
   * @param half which half of the peers; default both
   * @throws Error when its keys are not all in its region, that is too large, or too many announcements wait
   */
  async carry(
    announcement: SignedAnnouncement,
    half: Half | undefined,
    signal: AbortSignal,
  ): Promise<Carried> {
    if (this.#limit.pendingCount >= MAX_WAITING) throw new Error('too many announcements to carry');
    return this.#limit(() => this.#carry(announcement, half, signal));
  }

  async #carry(
    announcement: SignedAnnouncement,
    half: Half | undefined,
    signal: AbortSignal,
  ): Promise<Carried> {
    const { protocols } = this.#components;
    const recipients = this.#recipients(announcement, half);
    const speaks = ({ text }: DhtPeer): boolean => protocols.of(text).includes(ANNOUNCE_PROTOCOL);
    const passed = await Promise.all(
      recipients.filter(speaks).map((peer) => this.#pass(peer, announcement, signal)),
    );
    return {
      taken: passed.filter(({ isTaken }) => isTaken).length,
      strangers: recipients.filter((peer) => !speaks(peer)).slice(0, K),
      sequence: Math.max(0, ...passed.map(({ sequence }) => sequence)),
    };
  }

  /** The peers closest to each of the keys, without the provider. */
  #recipients(
    { provider, label, provided, withdrawn }: SignedAnnouncement,
    half: Half | undefined,
  ): DhtPeer[] {
    const { membership } = this.#components;
    const region = this.#regionOf(label);
    const points = [...provided, ...withdrawn].map(targetOfRecord);
    // Otherwise a provider could have any peers troubled with it.
    if (!points.every((point) => isWithin(region, point))) {
      throw new Error('keys beyond the region');
    }
    const members = membership
      .verified()
      .filter(({ id, text }) => !id.equals(provider) && !membership.isUnresponsive(text));
    const near = closest(centreOf(region), members, MAX_RECIPIENTS);
    const chosen = new Set(points.flatMap((point) => closest(point, near, K)));
    return [...chosen].filter((peer) => half === undefined || halfOf(peer) === half);
  }

  #regionOf(label: number): RegionId {
    const region = regionOfLabel(Math.floor(label / MAX_PARTS));
    if (region === undefined) throw new Error('no label of a region');
    const nodes = this.#components.scale.size / 2 ** region.bits;
    if (nodes > MAX_NODES_PER_REGION) throw new Error('too large a region');
    return region;
  }

  async #pass(
    peer: DhtPeer,
    { envelope }: SignedAnnouncement,
    signal: AbortSignal,
  ): Promise<{ readonly isTaken: boolean; readonly sequence: number }> {
    const { client, logger } = this.#components;
    try {
      return await client.pass(peer, envelope, PASS_TIMEOUT_MS, signal);
    } catch (err) {
      logger.debug({ peerId: peer.text, err }, 'a peer did not take an announcement');
      return { isTaken: false, sequence: 0 };
    }
  }
}
