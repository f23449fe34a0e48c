import pLimit from 'p-limit';
import type { Logger } from 'pino';

import { wholeOf } from '../../oci/content-request.ts';
import type { Provider } from '../../routing/router.ts';
import { Backoff } from '../../timing/backoff.ts';
import { Deadline } from '../../timing/deadline.ts';
import { isAborted } from '../../timing/pause.ts';
import type { PeerClient } from '../client/peer-client.ts';
import { PeerError } from '../client/peer-error.ts';
import { askPeer } from '../select/ask-peer.ts';
import type { PeerScoreboard } from '../select/peer-scoreboard.ts';
import { deliverersOfWrong, ShareHashes, type DeliveredShares } from './shares.ts';
import type { TransferRecord } from './transfer-record.ts';
import { verifyBody } from './verify-body.ts';

/** Peers that are re-verified at once: of one blob, so that no blob waits for the peers of another, and in all. */
const MAX_OF_BLOB = 4;
const MAX_AT_ONCE = 16;

/** How often a peer is asked that answers busy, and the waits in between, in milliseconds: some four seconds in all. */
const MAX_ATTEMPTS = 4;
const BUSY_BACKOFF = { first: 500, max: 2_000 };

/** Longest time for one peer, however large the blob is, in milliseconds. */
const MAX_MS = 120_000;

/** Wrong bytes that the client already has. The name is a label of a metric. */
export const MISMATCH = { kind: 'digest-mismatch', noticed: 'passed-on' } as const;

/** Parts of a {@link Reverification}. */
export interface ReverificationComponents {
  /** Fetches blobs again. */
  readonly client: Pick<PeerClient, 'fetch'>;
  /** Learns which peers sent wrong bytes, and which did not. */
  readonly scoreboard: Pick<PeerScoreboard, 'record'>;
  readonly logger: Logger;
}

/** A wrong blob whose peers are re-verified. */
interface WrongBlob {
  readonly record: TransferRecord;
  readonly delivered: DeliveredShares;
  /** Peer IDs of those that certainly sent wrong bytes. */
  readonly liars: Set<string>;
  /** Aborted when it is certain which peers sent wrong bytes. */
  readonly resolved: AbortController;
  readonly onCleared: () => void;
}

/**
 * Finds out which of several peers sent the wrong bytes of a blob. Each of them is asked for the whole blob once more,
 * all at the same time. The first right answer decides: what each peer delivered is compared with it. So a peer that
 * sends wrong bytes and answers well when it is asked again is found too, and an honest one is not kept waiting by one
 * that drips. Where the delivered bytes are not there to be compared, each peer is taken at its second answer.
 */
export class Reverification {
  readonly #components: ReverificationComponents;
  readonly #atOnce = pLimit(MAX_AT_ONCE);

  constructor(components: ReverificationComponents) {
    this.#components = components;
  }

  /**
   * Resolves when all peers are cleared, found, or have had their time; never rejects.
   *
   * @param delivered what the peers delivered, as far as it is known
   * @param onCleared called when a peer may be asked for the blob again
   * @returns whether a peer was found that sent wrong bytes
   */
  async run(
    record: TransferRecord,
    delivered: DeliveredShares,
    onCleared: () => void,
    signal: AbortSignal,
  ): Promise<boolean> {
    const resolved = new AbortController();
    const blob: WrongBlob = { record, delivered, liars: new Set(), resolved, onCleared };
    const ended = AbortSignal.any([signal, resolved.signal]);
    const ofBlob = pLimit(MAX_OF_BLOB);
    const examine = (peer: Provider): Promise<void> =>
      ofBlob(() => this.#atOnce(() => this.#examine(peer, blob, ended)));
    await Promise.all(record.peers.map(examine));
    return blob.liars.size > 0;
  }

  /** Never rejects. */
  async #examine(peer: Provider, blob: WrongBlob, ended: AbortSignal): Promise<void> {
    const { logger } = this.#components;
    const { digest } = blob.record.descriptor;
    const backoff = new Backoff(BUSY_BACKOFF);
    for (let attempt = 1; !isAborted(ended); attempt += 1) {
      try {
        const right = await this.#askAgain(peer, blob, ended);
        if (!isAborted(ended)) this.#answeredWell(peer, blob, right);
        return;
      } catch (err) {
        if (isAborted(ended)) return;
        const reason = err instanceof PeerError ? err.reason : undefined;
        if (reason === 'digest') this.#blame(peer, blob);
        else logger.debug({ err, digest, peer: peer.peerId }, 'peer does not send the blob again');
        if (reason !== 'busy' || attempt === MAX_ATTEMPTS) return;
        await backoff.wait(ended);
      }
    }
  }

  /** Gives the digests of the shares of the right content. */
  async #askAgain(
    peer: Provider,
    { record, delivered }: WrongBlob,
    ended: AbortSignal,
  ): Promise<readonly string[]> {
    const whole = { ...wholeOf(record.request), digest: record.descriptor.digest };
    using deadline = new Deadline(MAX_MS, ended);
    const { client } = this.#components;
    const response = await askPeer(client, peer, whole, undefined, deadline.signal);
    const hashes = new ShareHashes(delivered.shares);
    await verifyBody(response, (chunk) => {
      hashes.update(chunk);
    });
    return hashes.digests;
  }

  #answeredWell(peer: Provider, blob: WrongBlob, right: readonly string[]): void {
    const { peers } = blob.record;
    const found = deliverersOfWrong(blob.delivered, right);
    if (found.size === 0) {
      this.#clear(peer, blob);
      return;
    }
    for (const it of peers) {
      if (found.has(it.peerId)) this.#blame(it, blob);
      else this.#clear(it, blob);
    }
    blob.resolved.abort();
  }

  #blame(peer: Provider, { record, liars }: WrongBlob): void {
    if (liars.has(peer.peerId)) return;
    liars.add(peer.peerId);
    this.#components.scoreboard.record(peer, record.descriptor.digest, MISMATCH);
  }

  #clear(peer: Provider, { record, liars, onCleared }: WrongBlob): void {
    if (liars.has(peer.peerId)) return;
    this.#components.scoreboard.record(peer, record.descriptor.digest, { kind: 'verified' });
    onCleared();
  }
}
