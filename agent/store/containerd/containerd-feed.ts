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
const SUBSCRIBED = 50;
/** Milliseconds that containerd may need at most to record a blob whose file is there already. */
const TRANSACTION = 2_000;
/** Polling for deletions alone, which garbage collection does not announce, can take its time. */
const SLOWER = 15;

/**
 * Finds out what changes in a namespace of containerd, and tells the hub. Events tell of images in all versions,
 * and of new blobs from 2.1; the folder of the blobs tells of new blobs in the versions before, and of blobs
 * that garbage collection removed in all of them. A relist now and then tells what both have missed.
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
    // Only this algorithm: containerd computes sha256 unless a client insists, and then the relist helps.
    const path = join(contentPath, 'blobs', 'sha256');
    const folder = new FolderWatch({
      path,
      logger,
      onEntry: (name) => {
        const digest = parseDigest(`sha256:${name}`);
        if (digest !== undefined) confirmations.look(digest);
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
        return this.#contentEvents ? SLOWER * pollInterval : pollInterval;
      },
      idle: pollInterval,
    });
    await Promise.all([
      folder.run(signal),
      this.#followEvents(signal),
      poll.run(signal),
      this.#relistNowAndThen(signal),
    ]);
    await confirmations.ended();
  }

  /** Nothing to do while containerd is away: its return means a relist. */
  #relist(): void {
    if (!this.#connected) return;
    this.#announcements.forget();
    this.#init.hub.publish({ kind: 'relist' });
  }

  /**
   * A file that was renamed into place just before the watch began was not seen, and its blob is not listed
   * either before containerd has completed the transaction.
   */
  async #relistOnceMore(path: string, signal: AbortSignal): Promise<void> {
    const found = await stat(path).catch(() => undefined);
    if (found === undefined || Date.now() - found.mtimeMs > TRANSACTION) return;
    await pause(TRANSACTION, signal);
    if (!signal.aborted) this.#relist();
  }

  async #relistNowAndThen(signal: AbortSignal): Promise<void> {
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
    // It is awaited below; without this, failing before that would count as unhandled.
    reading.catch(() => undefined);
    // containerd does not say when a subscription has begun. It starts the calls of one connection in order,
    // so once it has answered a later one, the subscription is at most a few instructions behind.
    const version = await client.version(signal);
    await Promise.race([reading, pause(SUBSCRIBED, signal)]);
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
      // The filters ask for our namespace only, so this is the second lock on the same door.
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
