import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';
import type { Logger } from 'pino';

import type { Metrics } from '../../metrics/metrics.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Provider } from '../../routing/router.ts';
import type { ContentStore } from '../../store/content-store.ts';
import { pause } from '../../timing/pause.ts';
import type { PeerScoreboard } from '../select/peer-scoreboard.ts';
import { wholeOf, type ContentRequest } from '../../oci/content-request.ts';
import { TransferRecord } from './transfer-record.ts';
import { CommitWatch, type CommitOutcome } from './commit-watch.ts';
import type { PeerClient } from '../client/peer-client.ts';
import { PeerError } from '../client/peer-error.ts';
import { verifyBody } from './verify-body.ts';

/** Blobs whose records are kept while they are delivered. The least recently requested one is forgotten first. */
const MAX_RECORDS = 256;

/** Delivered blobs that are watched at once. Each needs an open file; further ones are not watched. */
const MAX_WATCHED = 64;

/** Longest time that a request waits for the attribution of an earlier delivery, in milliseconds. */
const MAX_WAIT_MS = 2_000;

/** Wrong bytes that the client already has. The name is a label of a metric. */
const MISMATCH = { kind: 'digest-mismatch', noticed: 'passed-on' } as const;

/** Parts of an {@link Attribution}. */
export interface AttributionComponents {
  /** The store in which the client's commit shows. */
  readonly store: Pick<ContentStore, 'stat' | 'ingests'>;
  /** Fetches blobs again for re-verification. */
  readonly client: Pick<PeerClient, 'fetch'>;
  /** Learns which peers sent wrong bytes. */
  readonly scoreboard: Pick<PeerScoreboard, 'record'>;
  readonly metrics: Pick<Metrics, 'deliveryResults'>;
  readonly logger: Logger;
}

/** A blob after its delivery, until it is clear whether its bytes were right, and which peer sent wrong ones. */
interface WatchedBlob {
  readonly watch: CommitWatch;
  /** `watching`: the client may commit it. `attributing`: its bytes were wrong, and its peers are re-verified. */
  stage: 'watching' | 'attributing';
  /** Resolves when all is clear. Never rejects. */
  readonly done: Promise<void>;
}

/**
 * Attributes wrong bytes of large blobs to the peer that sent them. These blobs are forwarded before they are verified.
 * A commit watch finds out whether the client got the right bytes. If it did not, a sole peer is put on the blocklist.
 * Of several peers each has to send the whole blob once more, to be re-verified.
 */
export class Attribution {
  readonly #components: AttributionComponents;
  readonly #records = new LRUCache<string, TransferRecord>({ max: MAX_RECORDS });
  readonly #watched = new Map<string, WatchedBlob>();
  readonly #stopping = new AbortController();
  // One at a time: both are rare, and must not take resources from transfers.
  readonly #hashing = pLimit(1);
  readonly #reverifying = pLimit(1);

  constructor(components: AttributionComponents) {
    this.#components = components;
  }

  /**
   * Whether the client verifies the blob itself. It does if it is the client of the store, and the store is about to
   * receive the blob. The bytes for any other client have to be hashed in passing.
   */
  async isVerifiedByClient({ digest }: Descriptor): Promise<boolean> {
    return (await this.#components.store.ingests?.has(digest)) === true;
  }

  /** The record of a blob that a client which verifies it is about to receive, whole or in part. */
  recordFor(request: ContentRequest, descriptor: Descriptor): TransferRecord {
    const { digest } = descriptor;
    const record = this.#records.get(digest) ?? new TransferRecord(request, descriptor);
    this.#records.set(digest, record);
    return record;
  }

  /** Call when a body has ended, complete or not. Begins to watch the blob if all of it was delivered. */
  bodyEnded(record: TransferRecord): void {
    const { digest, size } = record.descriptor;
    if (!record.isComplete || this.#records.peek(digest) !== record) return;
    if (this.#watched.has(digest) || this.#watched.size >= MAX_WATCHED) return;
    const { store, logger } = this.#components;
    const watch = new CommitWatch({ store, hashInTurn: this.#hashing, logger }, digest, size);
    const blob: WatchedBlob = {
      watch,
      stage: 'watching',
      done: this.#watch(record, watch, () => (blob.stage = 'attributing')),
    };
    this.#watched.set(digest, blob);
    void blob.done.then(() => this.#watched.delete(digest));
  }

  /**
   * Waits, in bounded time, until it is clear whether an earlier delivery of the content was right. The peer that sent
   * wrong bytes is then on the blocklist before the content is requested again. Resolves at once if the client has not
   * received all of it, or if there was no delivery.
   */
  async waitFor(key: string, signal: AbortSignal): Promise<void> {
    const blob = this.#watched.get(key);
    if (blob === undefined) return;
    if (blob.stage === 'watching' && !(await blob.watch.isSettling())) return;
    blob.watch.hurry();
    const done = new AbortController();
    await Promise.race([blob.done, pause(MAX_WAIT_MS, AbortSignal.any([signal, done.signal]))]);
    done.abort();
  }

  /** Attributes a digest mismatch that was found in passing; see {@link Attribution.isVerifiedByClient}. */
  async digestMismatch(record: TransferRecord): Promise<void> {
    this.#components.metrics.deliveryResults.inc({ result: 'wrong' });
    await this.#attribute(record, 'wrong');
  }

  /** Ends all watches and re-verifications. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Never rejects. */
  async #watch(record: TransferRecord, watch: CommitWatch, onWrong: () => void): Promise<void> {
    const { metrics, logger } = this.#components;
    const { digest } = record.descriptor;
    let outcome: CommitOutcome = 'unknown';
    try {
      outcome = await watch.run(this.#stopping.signal);
    } catch (err) {
      if (this.#stopping.signal.aborted) return;
      logger.debug({ err, digest }, 'cannot find out whether a delivered blob was committed');
    }
    // The next request for the blob begins a new record.
    if (this.#records.peek(digest) === record) this.#records.delete(digest);
    metrics.deliveryResults.inc({ result: outcome });
    if (outcome !== 'wrong' && outcome !== 'lost') return;
    onWrong();
    await this.#attribute(record, outcome);
  }

  /** Finds the peers that sent wrong bytes, and puts them on the blocklist. Never rejects. */
  async #attribute(record: TransferRecord, outcome: 'wrong' | 'lost'): Promise<void> {
    const { scoreboard, logger } = this.#components;
    const { peers, solePeer, descriptor } = record;
    const { digest } = descriptor;
    logger.warn(
      { digest, verdict: outcome, peers: peers.map(({ peerId }) => peerId) },
      'client did not commit a blob from peers',
    );
    if (outcome === 'wrong' && solePeer !== undefined) {
      scoreboard.record(solePeer, digest, MISMATCH);
      return;
    }
    for (const peer of peers) scoreboard.record(peer, digest, { kind: 'unverified' });
    await Promise.all(peers.map((peer) => this.#reverifying(() => this.#reverify(peer, record))));
  }

  /** Fetches the whole blob from the peer once more, only to verify it. Never rejects. */
  async #reverify(peer: Provider, { request, descriptor }: TransferRecord): Promise<void> {
    const { client, scoreboard, logger } = this.#components;
    const { digest } = descriptor;
    const [origin] = peer.origins;
    const signal = this.#stopping.signal;
    if (signal.aborted || origin === undefined) return;
    try {
      const whole = { ...wholeOf(request), digest };
      const response = await client.fetch(origin, whole, undefined, signal);
      await verifyBody(response);
      scoreboard.record(peer, digest, { kind: 'verified' });
    } catch (err) {
      if (err instanceof PeerError && err.reason === 'digest') {
        scoreboard.record(peer, digest, MISMATCH);
      } else {
        logger.debug({ err, digest, peer: peer.peerId }, 'peer does not send the blob once more');
      }
    }
  }
}
