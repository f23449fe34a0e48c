import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Logger } from 'pino';

import { parseDigest } from '../../oci/digest.ts';
import { Backoff, jittered } from '../../timing/backoff.ts';
import { isAborted, pause } from '../../timing/pause.ts';
import type { ChangeHub } from '../change-hub.ts';
import { FolderWatch } from '../folder-watch.ts';
import { Announcements } from './announcements.ts';
import { BlobPoll } from './blob-poll.ts';
import type { ContainerdClient } from './client.ts';
import { Confirmations } from './confirmations.ts';
import { eventFilters, readEvent } from './events.ts';
import type { KnownBlobs } from './known-blobs.ts';
import { publishesContentEvents } from './version.ts';

export interface ContainerdFeedInit {
  readonly client: ContainerdClient;
  readonly namespace: string;
  readonly contentPath: string;
  readonly known: KnownBlobs;
  readonly hub: ChangeHub;
  readonly logger: Logger;
  /** Milliseconds. */
  readonly comparisonInterval: number;
  /** Milliseconds. */
  readonly pollInterval: number;
}

/** Milliseconds between subscribing and listing, see `#subscribe`. */
const SUBSCRIBED_MS = 50;
/** Milliseconds within which containerd records a blob whose file is in place. */
const TRANSACTION_MS = 2_000;
/** Factor of the poll interval where events announce new blobs: only deletions by garbage collection are left. */
const DELETIONS_FACTOR = 15;

/**
 * Finds the changes in a namespace of containerd, and publishes them to the hub. Events report images in all versions,
 * and new blobs from 2.1. The watch of the blobs' folder reports new blobs before 2.1, and in all versions the blobs
 * that garbage collection removes. A relist at intervals finds what both have missed.
 */
export class ContainerdFeed {
  readonly #init: ContainerdFeedInit;
  readonly #announcements: Announcements;
  #connected = false;
  #contentEvents = false;

  constructor(init: ContainerdFeedInit) {
    this.#init = init;
    this.#announcements = new Announcements(init.known, init.hub);
  }

  /** Runs until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, contentPath, logger, pollInterval } = this.#init;
    const relist = () => {
      this.#relist();
    };
    const parts = { client, logger, announcements: this.#announcements, relist };
    const confirmations = new Confirmations({ ...parts, contentPath, signal });
    // sha256 only: containerd uses another algorithm only for a client that asks for it, and the relist finds that.
    const path = join(contentPath, 'blobs', 'sha256');
    const folder = new FolderWatch({
      path,
      logger,
      onEntry: (name) => {
        const digest = parseDigest(`sha256:${name}`);
        if (digest !== undefined) confirmations.examine(digest);
      },
      onUp: () => {
        relist();
        void this.#relistOnceMore(path, signal);
      },
    });
    const poll = new BlobPoll({
      ...parts,
      interval: () => {
        if (!this.#connected || folder.up) return undefined;
        return this.#contentEvents ? DELETIONS_FACTOR * pollInterval : pollInterval;
      },
      idle: pollInterval,
    });
    await Promise.all([
      folder.run(signal),
      this.#followEvents(signal),
      poll.run(signal),
      this.#relistAtIntervals(signal),
    ]);
    await confirmations.ended();
  }

  /** Not while containerd cannot be reached: reconnecting means a relist. */
  #relist(): void {
    if (!this.#connected) return;
    this.#announcements.forget();
    this.#init.hub.publish({ kind: 'relist' });
  }

  /**
   * Relists after the longest transaction. A file that was renamed into place just before the watch began caused no
   * event, and its blob is not listed before the transaction has completed.
   */
  async #relistOnceMore(path: string, signal: AbortSignal): Promise<void> {
    const found = await stat(path).catch(() => undefined);
    if (found === undefined || Date.now() - found.mtimeMs > TRANSACTION_MS) return;
    await pause(TRANSACTION_MS, signal);
    if (!signal.aborted) this.#relist();
  }

  async #relistAtIntervals(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pause(jittered(this.#init.comparisonInterval), signal);
      if (!isAborted(signal)) this.#relist();
    }
  }

  async #followEvents(signal: AbortSignal): Promise<void> {
    const { hub, logger } = this.#init;
    const backoff = new Backoff();
    let complained = false;
    while (!signal.aborted) {
      const attempt = new AbortController();
      let reason: unknown = new Error('containerd ended the event stream');
      try {
        await this.#subscribe(AbortSignal.any([signal, attempt.signal]), () => {
          if (complained) logger.info('containerd is back');
          complained = false;
          backoff.reset();
        });
      } catch (error) {
        reason = error;
      } finally {
        attempt.abort();
      }
      this.#connected = false;
      hub.lost();
      if (isAborted(signal)) return;
      if (!complained) logger.warn({ err: reason }, 'containerd out of reach, trying again');
      complained = true;
      await backoff.wait(signal);
    }
  }

  /** Follows the events of one connection; ends or throws when that breaks. */
  async #subscribe(signal: AbortSignal, onConnected: () => void): Promise<void> {
    const { client, hub } = this.#init;
    const reading = this.#readEvents(signal);
    // It is awaited below. A rejection before that would be unhandled otherwise.
    reading.catch(() => undefined);
    // containerd does not report when a subscription has begun. It starts the calls of a connection in order, so
    // once a later call is answered, the subscription begins within moments.
    const version = await client.version(signal);
    await Promise.race([reading, pause(SUBSCRIBED_MS, signal)]);
    if (signal.aborted) return;
    this.#contentEvents = publishesContentEvents(version);
    this.#connected = true;
    onConnected();
    this.#announcements.forget();
    hub.reached();
    await reading;
  }

  async #readEvents(signal: AbortSignal): Promise<void> {
    const { client, namespace, hub, logger } = this.#init;
    for await (const envelope of client.events(eventFilters(namespace), signal)) {
      // The filters select our namespace already; this does not rely on them.
      if (envelope.namespace !== namespace) continue;
      try {
        const event = readEvent(envelope);
        if (event === undefined) continue;
        if (event.kind === 'blob-added') this.#announcements.added(event.digest, event.size);
        else if (event.kind === 'blob-deleted') this.#announcements.deleted(event.digest);
        else hub.publish(event);
      } catch (error) {
        logger.warn({ err: error, topic: envelope.topic }, 'event not understood');
        this.#relist();
      }
    }
  }
}
