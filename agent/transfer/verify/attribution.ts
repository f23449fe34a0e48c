import { LRUCache } from 'lru-cache';
import pLimit from 'p-limit';

import type { Metrics } from '../../metrics/metrics.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { ContentStore } from '../../store/content-store.ts';
import { ExpiringSet } from '../../timing/expiring-set.ts';
import { pause } from '../../timing/pause.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Ingest } from '../../store/ingests.ts';
import { FollowedBlobs } from './followed-blobs.ts';
import { TransferRecord } from './transfer-record.ts';
import { CommitWatch, type CommitOutcome } from './commit-watch.ts';
import { MISMATCH, Reverification, type ReverificationComponents } from './reverification.ts';
import { ShareHashes, type DeliveredShares } from './shares.ts';

/** Blobs whose records are kept while they are delivered. The least recently requested one is forgotten first. */
const MAX_RECORDS = 256;

/** Delivered blobs that are watched at once. Each needs an open file; further ones are not watched. */
const MAX_WATCHED = 64;

/** Wrong blobs whose peers are re-verified at once. The peers of further ones stay blocked for them. */
const MAX_ATTRIBUTED = 64;

/** Longest time that a request waits until it is clear whether an earlier delivery was right, in milliseconds. */
const MAX_WAIT_MS = 2_000;

/** How long after a wrong delivery requests wait until a peer of it is cleared, in milliseconds. */
const MAX_ATTRIBUTION_WAIT_MS = 1_000;

/** Peers that took part in a wrong blob whose sender was not found, and for how long that counts: a day. */
const MAX_UNRESOLVED = 1_000;
const UNRESOLVED_MS = 24 * 3_600_000;

/** What is known of the bytes of a blob that were not read. */
const NOT_READ: DeliveredShares = { shares: [], digests: [] };

/** Parts of an {@link Attribution}. */
export interface AttributionComponents extends ReverificationComponents {
  /** The store in which the client's commit shows. */
  readonly store: Pick<ContentStore, 'stat' | 'ingests'>;
  readonly metrics: Pick<Metrics, 'deliveryResults'>;
  /**
   * Called when the bytes that the client of the store got are wrong: the nodes that got them from this one must learn of it. What
   * other clients got, no node follows.
   */
  readonly onWrong?: ((digest: Digest) => void) | undefined;
}

/** A blob after its delivery, until it is clear whether its bytes were right. */
interface WatchedBlob {
  readonly watch: CommitWatch;
  /** Resolves when it is clear. Never rejects. */
  readonly done: Promise<void>;
}

/** A wrong blob, until it is clear which peer sent the wrong bytes. */
interface AttributedBlob {
  /** Resolves when one of its peers may be asked again, and when all is clear. Never rejects. */
  readonly usable: Promise<unknown>;
  /** Until when requests wait for that, in milliseconds of `performance.now()`. */
  readonly waitUntil: number;
}

/**
 * Attributes wrong bytes of large blobs to the peer that sent them. These blobs are forwarded before they are verified.
 * A commit watch finds out whether the client got the right bytes. If it did not, a sole peer is put on the blocklist.
 * Of several peers each has to send the whole blob once more, see {@link Reverification}.
 */
export class Attribution {
  readonly #components: AttributionComponents;
  readonly #records = new LRUCache<string, TransferRecord>({ max: MAX_RECORDS });
  readonly #watched = new Map<string, WatchedBlob>();
  readonly #attributed = new Map<string, AttributedBlob>();
  readonly #unresolved = new ExpiringSet(MAX_UNRESOLVED);
  readonly #followed: FollowedBlobs;
  readonly #stopping = new AbortController();
  // One at a time: it is rare, and must not take resources from transfers.
  readonly #hashing = pLimit(1);
  readonly #reverification: Reverification;

  constructor(components: AttributionComponents) {
    this.#components = components;
    this.#reverification = new Reverification(components);
    this.#followed = new FollowedBlobs(components);
  }

  /** Whether the peer took part in a wrong blob lately, and it was not found out who sent the wrong bytes. */
  isUnresolved(peerId: string): boolean {
    return this.#unresolved.has(peerId);
  }

  /** See {@link FollowedBlobs.isLeftToUpstream}. */
  isLeftToUpstream(key: string): boolean {
    return this.#followed.isLeftToUpstream(key);
  }

  /** The record of a blob that a client which verifies it is about to receive, whole or in part. */
  recordFor(request: ContentRequest, descriptor: Descriptor): TransferRecord {
    const { digest } = descriptor;
    const record = this.#records.get(digest) ?? new TransferRecord(request, descriptor);
    this.#records.set(digest, record);
    return record;
  }

  /**
   * Opens the ingest that a body is written to. There is one if the client is that of the store, which verifies the blob itself. The
   * bytes for any other client have to be hashed in passing. Call it when the body begins: after the last byte containerd may have
   * found it wrong, and removed the ingest, before the agent can open it. Never rejects.
   */
  async openIngest({ digest }: Pick<Descriptor, 'digest'>): Promise<Ingest | undefined> {
    try {
      return await this.#components.store.ingests?.open(digest);
    } catch (err) {
      this.#components.logger.debug({ err, digest }, 'ingest cannot be opened');
      return undefined;
    }
  }

  /**
   * Call when a body has ended, complete or not. Begins to watch the blob if all of it was delivered.
   *
   * @param opened the ingest, see {@link Attribution.openIngest}; it is closed here
   */
  bodyEnded(record: TransferRecord, opened: Promise<Ingest | undefined>): void {
    const { digest, size } = record.descriptor;
    if (record.isWrong) {
      // The client fails the pull, and tries again. The peer may have got it wrong itself.
      this.#records.delete(digest);
      this.#components.onWrong?.(digest);
      void this.#followed.attribute(record, this.#stopping.signal);
    }
    const isCurrent = record.isComplete && this.#records.peek(digest) === record;
    if (!isCurrent || this.#watched.has(digest) || this.#watched.size >= MAX_WATCHED) {
      void opened.then((ingest) => ingest?.[Symbol.asyncDispose]());
      return;
    }
    const { store, logger } = this.#components;
    let delivered = NOT_READ;
    const readWrong = async (ingest: Ingest, signal: AbortSignal): Promise<void> => {
      delivered = await this.#readDelivered(record, ingest, signal);
    };
    const hashInTurn = this.#hashing;
    const watch = new CommitWatch(
      { store, hashInTurn, readWrong, logger },
      { digest, size, opened },
    );
    const done = this.#watch(record, watch).then((outcome) => {
      this.#watched.delete(digest);
      if (outcome !== 'wrong' && outcome !== 'lost') return;
      this.#components.onWrong?.(digest);
      void this.#attribute(record, outcome, delivered);
    });
    this.#watched.set(digest, { watch, done });
  }

  /**
   * Watches a blob that the client receives from the registry itself, when all of it is there. If it is wrong, those that
   * got it from this node have to learn of it, and the next pull must not resume from its bytes.
   *
   * @param size in bytes
   */
  watchFetched(digest: Digest, size: number): void {
    if (this.#watched.has(digest) || this.#watched.size >= MAX_WATCHED) return;
    const { store, logger, onWrong } = this.#components;
    const opened = this.openIngest({ digest });
    const watch = new CommitWatch(
      { store, hashInTurn: this.#hashing, logger },
      { digest, size, opened },
    );
    const done = watch.run(this.#stopping.signal).then(
      (outcome) => {
        this.#watched.delete(digest);
        if (outcome !== 'wrong') return;
        logger.warn({ digest }, 'the registry sent wrong bytes');
        onWrong?.(digest);
      },
      () => {
        this.#watched.delete(digest);
      },
    );
    this.#watched.set(digest, { watch, done });
  }

  /**
   * Waits, in bounded time, until it is clear whether an earlier delivery of the content was right, and if not, until a
   * peer may be asked again. The peer that sent wrong bytes is on the blocklist before the content is requested again.
   * Resolves at once if the client has not received all of it, or if there was no delivery.
   */
  async waitFor(key: string, signal: AbortSignal): Promise<void> {
    const blob = this.#watched.get(key);
    if (blob !== undefined && (await blob.watch.isSettling())) {
      blob.watch.hurry();
      await waitAtMost(blob.done, MAX_WAIT_MS, signal);
    }
    const wrong = this.#attributed.get(key);
    if (wrong === undefined) return;
    await waitAtMost(wrong.usable, wrong.waitUntil - performance.now(), signal);
  }

  /** Attributes a digest mismatch that was found in passing; see {@link Attribution.openIngest}. */
  async digestMismatch(record: TransferRecord): Promise<void> {
    this.#components.metrics.deliveryResults.inc({ result: 'wrong' });
    await this.#attribute(record, 'wrong', record.hashed);
  }

  /** Ends all watches and re-verifications. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Never rejects. */
  async #watch(record: TransferRecord, watch: CommitWatch): Promise<CommitOutcome> {
    const { metrics, logger } = this.#components;
    const { digest } = record.descriptor;
    let outcome: CommitOutcome = 'unknown';
    try {
      outcome = await watch.run(this.#stopping.signal);
    } catch (err) {
      if (this.#stopping.signal.aborted) return 'unknown';
      logger.debug({ err, digest }, 'cannot find out whether a delivered blob was committed');
    }
    // The next request for the blob begins a new record.
    if (this.#records.peek(digest) === record) this.#records.delete(digest);
    metrics.deliveryResults.inc({ result: outcome });
    return outcome;
  }

  /** Hashes what each of several peers delivered, to be compared with the right content later. Never rejects. */
  async #readDelivered(
    { solePeer, shares, descriptor }: TransferRecord,
    ingest: Ingest,
    signal: AbortSignal,
  ): Promise<DeliveredShares> {
    if (solePeer !== undefined || shares.length === 0) return NOT_READ;
    try {
      // In an ingest that is still there another download may write.
      if ((await ingest.state()) !== 'removed') return NOT_READ;
      const hashes = new ShareHashes(shares);
      const body = ingest.read({ start: 0, end: descriptor.size - 1 }, signal);
      await this.#hashing(async () => {
        for await (const chunk of body as AsyncIterable<Buffer>) hashes.update(chunk);
      });
      return { shares, digests: hashes.digests };
    } catch (err) {
      const { digest } = descriptor;
      this.#components.logger.debug({ err, digest }, 'ingest of wrong bytes cannot be read');
      return NOT_READ;
    }
  }

  /** Finds the peers that sent wrong bytes, and puts them on the blocklist. Never rejects. */
  async #attribute(
    record: TransferRecord,
    outcome: 'wrong' | 'lost',
    delivered = NOT_READ,
  ): Promise<void> {
    const { scoreboard, logger } = this.#components;
    const { peers, solePeer, descriptor } = record;
    const { digest } = descriptor;
    logger.warn(
      { digest, verdict: outcome, peers: peers.map(({ peerId }) => peerId) },
      'client did not commit a blob from peers',
    );
    if (record.isFollowed) {
      await this.#followed.attribute(record, this.#stopping.signal);
      return;
    }
    if (outcome === 'wrong' && solePeer !== undefined) {
      scoreboard.record(solePeer, digest, MISMATCH);
      return;
    }
    for (const peer of peers) scoreboard.record(peer, digest, { kind: 'unverified' });
    const marked = peers.map(({ peerId }) => peerId).filter((it) => !this.isUnresolved(it));
    for (const peerId of marked) this.#unresolved.add(peerId, UNRESOLVED_MS);
    if (this.#attributed.size >= MAX_ATTRIBUTED) return;
    const usable = Promise.withResolvers<undefined>();
    const waitUntil = performance.now() + MAX_ATTRIBUTION_WAIT_MS;
    const blob: AttributedBlob = { usable: usable.promise, waitUntil };
    this.#attributed.set(digest, blob);
    const signal = this.#stopping.signal;
    const onCleared = (): void => {
      usable.resolve(undefined);
    };
    const isFound = await this.#reverification.run(record, delivered, onCleared, signal);
    for (const peerId of isFound ? marked : []) this.#unresolved.delete(peerId);
    onCleared();
    if (this.#attributed.get(digest) === blob) this.#attributed.delete(digest);
  }
}

/** Waits for the promise, which never rejects, but no longer than this, and not after the signal is aborted. */
async function waitAtMost(
  promise: Promise<unknown>,
  milliseconds: number,
  signal: AbortSignal,
): Promise<void> {
  const done = new AbortController();
  const within = pause(Math.max(0, milliseconds), AbortSignal.any([signal, done.signal]));
  await Promise.race([promise, within]);
  done.abort();
}
