import { stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Logger } from 'pino';

import { parseDigest, type Digest } from '../../oci/digest.ts';
import { Backoff, jittered } from '../../timing/backoff.ts';
import { pause } from '../../timing/pause.ts';
import { blobFileSize } from '../blob-file.ts';
import type { ChangeHub } from '../change-hub.ts';
import { unlessMissing } from '../../errors/system-error.ts';
import { FolderWatch } from '../folder-watch.ts';
import { Wakeup } from '../../timing/wakeup.ts';
import type { ImageIndex, Images } from './image-index.ts';

export interface LayoutFeedInit {
  readonly root: string;
  readonly algorithms: readonly string[];
  readonly index: ImageIndex;
  readonly hub: ChangeHub;
  readonly logger: Logger;
  /** Milliseconds. */
  readonly comparisonInterval: number;
}

/** Milliseconds between a write of `index.json` and reading it. Writers often write several times in a row. */
const SETTLE_MS = 20;
/** Milliseconds between the removal of a folder of blobs and the check whether the layout still exists. */
const LOSS_MS = 100;
/** Milliseconds for which a file's time does not prove that nothing changed after it, as in `image-index.ts`. */
const FRESH_MS = 2_000;
/** Files that are examined at the same time. When more change at once, everything is listed instead. */
const MAX_EXAMINED = 1_024;

/** Finds the changes in an OCI image layout, and publishes them to the hub. */
export class LayoutFeed {
  readonly #init: LayoutFeedInit;
  readonly #index = new Wakeup();
  readonly #blobsGone = new Wakeup();
  readonly #root: FolderWatch;
  readonly #blobs: readonly FolderWatch[];
  #published: Images = new Map();
  #arrived = false;
  #waiting = false;
  #examining = 0;

  constructor(init: LayoutFeedInit) {
    this.#init = init;
    const { root, logger, hub } = init;
    this.#root = new FolderWatch({
      path: root,
      logger,
      contents: true,
      onEntry: (name) => {
        if (name === 'index.json') this.#index.call();
        if (name === 'blobs') this.#checkBlobs();
      },
      onUp: () => {
        this.#arrived = true;
        this.#index.call();
        this.#checkBlobs();
      },
      onDown: () => {
        this.#arrived = false;
        hub.lost();
        this.#complain();
      },
    });
    this.#blobs = init.algorithms.map(
      (algorithm) =>
        new FolderWatch({
          path: join(root, 'blobs', algorithm),
          logger,
          onEntry: (name) => {
            const digest = parseDigest(`${algorithm}:${name}`);
            if (digest !== undefined) void this.#examine(digest);
          },
          onUp: () => {
            hub.publish({ kind: 'relist' });
          },
          onDown: () => {
            this.#blobsGone.call();
          },
        }),
    );
  }

  /** Runs until `signal` is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    if ((await unlessMissing(stat(this.#init.root)).catch(() => undefined)) === undefined) {
      this.#complain();
    }
    await Promise.all([
      this.#followIndex(signal),
      this.#followLoss(signal),
      this.#compare(signal),
      ...[this.#root, ...this.#blobs].map((watch) => watch.run(signal)),
    ]);
    this.#arrived = false;
  }

  /** The folders of blobs may be others now. The watches of the old ones do not report that. */
  #checkBlobs(): void {
    for (const blobs of this.#blobs) blobs.check();
  }

  async #followIndex(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff();
    for (;;) {
      await this.#index.wait(signal);
      if (signal.aborted) return;
      const arrived = this.#arrived;
      this.#arrived = false;
      if (!arrived) await pause(SETTLE_MS, signal);
      const understood = await this.#readIndex(arrived);
      if (understood) backoff.reset();
      else {
        const waited = AbortSignal.timeout(Math.ceil(backoff.next()));
        await this.#index.wait(AbortSignal.any([signal, waited]));
        this.#index.call();
      }
    }
  }

  /** Publishes `relist` when a folder of blobs was removed but the layout was not. Its return means a relist anyway. */
  async #followLoss(signal: AbortSignal): Promise<void> {
    const { root, hub } = this.#init;
    for (;;) {
      await this.#blobsGone.wait(signal);
      // When the whole layout is removed, the folders of blobs go first.
      await pause(LOSS_MS, signal);
      if (signal.aborted) return;
      const found = await stat(root).catch(() => undefined);
      if (found !== undefined) hub.publish({ kind: 'relist' });
    }
  }

  /** Publishes the changes of `index.json`; `false` when it has to be read again. */
  async #readIndex(arrived: boolean): Promise<boolean> {
    const { index, hub, logger, root } = this.#init;
    const before = this.#published;
    try {
      this.#published = await index.load();
    } catch (error) {
      logger.debug({ err: error }, 'index.json cannot be read');
      if (arrived) this.#arrived = true;
      return false;
    }
    if (arrived) {
      // Only now, so that the images which consumers list are compared with older ones.
      if (this.#waiting) logger.info({ path: root }, 'image layout is there');
      this.#waiting = false;
      hub.reached();
    }
    for (const [name, { target }] of this.#published) {
      const old = before.get(name)?.target;
      const same = old?.digest === target.digest && old.mediaType === target.mediaType;
      if (!same) hub.publish({ kind: 'image-set', name });
    }
    for (const name of before.keys()) {
      if (!this.#published.has(name)) hub.publish({ kind: 'image-deleted', name });
    }
    return !index.broken;
  }

  async #examine(digest: Digest): Promise<void> {
    const { root, hub, logger } = this.#init;
    if (this.#examining >= MAX_EXAMINED) {
      hub.publish({ kind: 'relist' });
      return;
    }
    this.#examining += 1;
    try {
      const size = await blobFileSize(root, digest);
      hub.publish({ kind: size === undefined ? 'blob-deleted' : 'blob-added', digest });
    } catch (error) {
      logger.debug({ err: error, digest }, 'blob cannot be examined');
    } finally {
      this.#examining -= 1;
    }
  }

  /** Publishes `relist` when a folder or `index.json` changed since the last check, as the watch may have missed it. */
  async #compare(signal: AbortSignal): Promise<void> {
    const { comparisonInterval, hub } = this.#init;
    let before = await this.#times();
    for (;;) {
      await pause(jittered(comparisonInterval), signal);
      if (signal.aborted) return;
      const now = await this.#times();
      if (now !== before) {
        this.#index.call();
        hub.publish({ kind: 'relist' });
      }
      before = now;
    }
  }

  /** Identifies the state of the layout. Each result is different within {@link FRESH_MS} of a change. */
  async #times(): Promise<string> {
    const { root, algorithms } = this.#init;
    const paths = ['index.json', ...algorithms.map((algorithm) => join('blobs', algorithm))];
    const now = Date.now();
    const times = paths.map(async (path) => {
      const found = await stat(join(root, path)).catch(() => undefined);
      if (found === undefined) return '';
      return `${found.ino}:${found.ctimeMs}${now - found.ctimeMs < FRESH_MS ? `:${now}` : ''}`;
    });
    return (await Promise.all(times)).join(' ');
  }

  #complain(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#init.logger.warn({ path: this.#init.root }, 'image layout is not there, waiting for it');
  }
}
