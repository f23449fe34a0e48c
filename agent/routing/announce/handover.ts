import type { Logger } from 'pino';

import { isAborted, pause } from '../../timing/pause.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import type { NetworkScale } from '../discovery/network-size.ts';
import { closest, distanceTo, FARTHEST, K } from '../dht/kademlia.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import type { PeerProtocols } from '../node/peer-protocols.ts';
import type { AnnounceClient } from './announce-client.ts';
import { ANNOUNCE_PROTOCOL } from './announce-messages.ts';
import { openAnnouncement } from './announcement.ts';
import type { HandedOver, HeldAnnouncements } from './held-announcements.ts';

/** Neighbours with all records that hand them over to a node which joins: one alone may lie. */
const ASKED = 3;
/** Neighbours that are asked at most, as some have joined themselves a moment ago. */
const MAX_ASKED = 16;
/** Members within whose distance the keys are that this node may have to keep: more than the 20 closest to a key. */
const NEAR = 32;
/** When so many of the 20 closest members are others than before, this node has to keep more records. */
const MUCH_CHANGED = 5;
/** How long one neighbour may take, in milliseconds. */
const PULL_TIMEOUT_MS = 30_000;
/** How often the neighbours are looked at, in milliseconds: at first while none is known that speaks the protocol. */
const EARLY_PAUSE_MS = 2000;
const PAUSE_MS = 30_000;
/** After this time without a neighbour that is complete this node takes itself for complete, in milliseconds. */
const ALONE_MS = 120_000;
/** Length of the signature, which is at the end of an envelope: two envelopes with the same signature are the same. */
const SIGNATURE_BYTES = 64;

export interface HandoverComponents {
  readonly self: DhtPeer;
  readonly membership: Pick<Membership, 'verified' | 'isConnected'>;
  readonly protocols: Pick<PeerProtocols, 'of'>;
  readonly client: Pick<AnnounceClient, 'pull'>;
  readonly held: Pick<HeldAnnouncements, 'take'>;
  readonly scale: Pick<NetworkScale, 'isLargeForSome'>;
  readonly logger: Logger;
}

/**
 * Gets the records that this node is to keep from its neighbours, when it joins a large network and when many of its
 * neighbours have gone. In a small one all providers see that, and send their records themselves.
 */
export class Handover {
  readonly #components: HandoverComponents;
  readonly #stopped = new AbortController();
  #running: Promise<void> | undefined;
  /** The closest members when records were handed over last. */
  #neighbours: ReadonlySet<string> | undefined;
  #isComplete = false;

  constructor(components: HandoverComponents) {
    this.#components = components;
  }

  /** Whether this node has the records that it is to keep, as far as its neighbours had them. */
  get isComplete(): boolean {
    const { scale } = this.#components;
    return !scale.isLargeForSome || this.#isComplete;
  }

  /** @param known resolves when this node knows its neighbours */
  start(known: Promise<void>): void {
    const { signal } = this.#stopped;
    this.#running = raceSignal(known, signal).then(
      () => this.#run(),
      () => undefined,
    );
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { scale } = this.#components;
    const { signal } = this.#stopped;
    const started = performance.now();
    while (!isAborted(signal)) {
      const isWanted = scale.isLargeForSome && this.#hasChanged();
      const hasAsked = isWanted && (await this.#pull(signal));
      // When all have joined at the same time none is complete. Then the providers send what there is.
      this.#isComplete ||= performance.now() - started >= ALONE_MS;
      // The size of the network, and who speaks the protocol, becomes known while this node joins.
      const isJoining = this.#neighbours === undefined && performance.now() - started < ALONE_MS;
      await pause(isJoining && !hasAsked ? EARLY_PAUSE_MS : PAUSE_MS, signal);
    }
  }

  #closest(): readonly DhtPeer[] {
    const { self, membership } = this.#components;
    return closest(self.prefix, membership.verified(), K);
  }

  #hasChanged(): boolean {
    const before = this.#neighbours;
    if (before === undefined) return true;
    return this.#closest().filter(({ text }) => !before.has(text)).length >= MUCH_CHANGED;
  }

  /**
   * Asks one neighbour after another until some that are complete have handed their records over. Never rejects.
   *
   * @returns whether there is a neighbour to ask
   */
  async #pull(signal: AbortSignal): Promise<boolean> {
    const { self, membership, protocols, client, logger } = this.#components;
    const near = closest(self.prefix, membership.verified(), NEAR);
    const speakers = near.filter(
      ({ text }) => membership.isConnected(text) && protocols.of(text).includes(ANNOUNCE_PROTOCOL),
    );
    if (speakers.length === 0) return false;
    this.#neighbours = new Set(this.#closest().map(({ text }) => text));
    const farthest = near[NEAR - 1];
    // With fewer members it has to keep the records of all keys.
    const distance = farthest === undefined ? FARTHEST : distanceTo(self.prefix, farthest);
    const range = { point: self.prefix, distance };
    const seen = new Map<string, number>();
    let complete = 0;
    for (const peer of speakers.slice(0, MAX_ASKED)) {
      if (complete >= ASKED || signal.aborted) break;
      const take = (held: HandedOver): Promise<void> => this.#take(held, peer, seen);
      try {
        if (await client.pull(peer, range, take, PULL_TIMEOUT_MS, signal)) complete += 1;
      } catch (err) {
        logger.debug({ peerId: peer.text, err }, 'a neighbour did not hand its records over');
      }
    }
    logger.debug({ announcements: seen.size, complete }, 'records were handed over');
    if (complete > 0) this.#isComplete = true;
    else this.#neighbours = undefined;
    return true;
  }

  async #take(
    { envelope, ageMs }: HandedOver,
    peer: DhtPeer,
    seen: Map<string, number>,
  ): Promise<void> {
    const signature = Buffer.from(envelope.subarray(-SIGNATURE_BYTES)).toString('latin1');
    // A peer that says it is older than it is does not keep the right age out.
    if ((seen.get(signature) ?? Infinity) <= ageMs) return;
    try {
      // A copy, because the bytes are a view on a larger buffer.
      const announcement = await openAnnouncement(Uint8Array.from(envelope));
      // Not before: a forged one with the signature of another would keep that out.
      seen.set(signature, ageMs);
      this.#components.held.take(announcement, { from: peer.text, ageMs });
    } catch (err) {
      this.#components.logger.debug({ err }, 'an announcement that was handed over is not valid');
    }
  }
}
