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

/** Writers touch `index.json` several times in a row; this many milliseconds later they are often done. */
const SETTLE = 20;
/** Milliseconds between the end of a folder of blobs and the look whether the rest is still there. */
const LOSS = 100;
/** As in `image-index.ts`: a time this fresh does not prove that nothing changed after it. Milliseconds. */
const FRESH = 2_000;
/** Most files that are looked at at a time; when more change at once, everything is listed instead. */
const MAX_LOOKS = 1_024;

/** Finds out what changes in an OCI image layout, and tells the hub. */
export class LayoutFeed {
  readonly #init: LayoutFeedInit;
  readonly #index = new Wakeup();
  readonly #blobsGone = new Wakeup();
  readonly #root: FolderWatch;
  readonly #blobs: readonly FolderWatch[];
  #told: Images = new Map();
  #arrived = false;
  #waiting = false;
  #looking = 0;

  constructor(init: LayoutFeedInit) {
    this.#init = init;
    const { root, logger, hub } = init;
    this.#root = new FolderWatch({
      path: root,
      logger,
      contents: true,
      onEntry: (name) => {
        if (name === 'index.json') this.#index.call();
      },
      onUp: () => {
        this.#arrived = true;
        this.#index.call();
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
            if (digest !== undefined) void this.#lookAt(digest);
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

  async #followIndex(signal: AbortSignal): Promise<void> {
    const backoff = new Backoff();
    for (;;) {
      await this.#index.wait(signal);
      if (signal.aborted) return;
      const arrived = this.#arrived;
      this.#arrived = false;
      if (!arrived) await pause(SETTLE, signal);
      const understood = await this.#readIndex(arrived);
      if (understood) backoff.reset();
      else {
        const waited = AbortSignal.timeout(Math.ceil(backoff.next()));
        await this.#index.wait(AbortSignal.any([signal, waited]));
        this.#index.call();
      }
    }
  }

  /** Asks for a relist when a folder of blobs went; when all went with it, their return means a relist. */
  async #followLoss(signal: AbortSignal): Promise<void> {
    const { root, hub } = this.#init;
    for (;;) {
      await this.#blobsGone.wait(signal);
      // Whoever removes everything removes the folders of blobs first.
      await pause(LOSS, signal);
      if (signal.aborted) return;
      const found = await stat(root).catch(() => undefined);
      if (found !== undefined) hub.publish({ kind: 'relist' });
    }
  }

  /** Tells what `index.json` says now that it did not say before; `false` when it has to be tried again. */
  async #readIndex(arrived: boolean): Promise<boolean> {
    const { index, hub, logger, root } = this.#init;
    const before = this.#told;
    try {
      this.#told = await index.load();
    } catch (error) {
      logger.debug({ err: error }, 'index.json cannot be read');
      if (arrived) this.#arrived = true;
      return false;
    }
    if (arrived) {
      // Only now, so that whatever consumers list from here on is compared with something older.
      if (this.#waiting) logger.info({ path: root }, 'image layout is there');
      this.#waiting = false;
      hub.reached();
    }
    for (const [name, { target }] of this.#told) {
      const old = before.get(name)?.target;
      const same = old?.digest === target.digest && old.mediaType === target.mediaType;
      if (!same) hub.publish({ kind: 'image-set', name });
    }
    for (const name of before.keys()) {
      if (!this.#told.has(name)) hub.publish({ kind: 'image-deleted', name });
    }
    return !index.broken;
  }

  async #lookAt(digest: Digest): Promise<void> {
    const { root, hub, logger } = this.#init;
    if (this.#looking >= MAX_LOOKS) {
      hub.publish({ kind: 'relist' });
      return;
    }
    this.#looking += 1;
    try {
      const size = await blobFileSize(root, digest);
      hub.publish({ kind: size === undefined ? 'blob-deleted' : 'blob-added', digest });
    } catch (error) {
      logger.debug({ err: error, digest }, 'blob cannot be looked at');
    } finally {
      this.#looking -= 1;
    }
  }

  /** Asks for a relist when a folder or `index.json` was changed since the last look, for the watch may have missed it. */
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

  /** When the layout was last changed; never the same twice when that was a moment ago. */
  async #times(): Promise<string> {
    const { root, algorithms } = this.#init;
    const paths = ['index.json', ...algorithms.map((algorithm) => join('blobs', algorithm))];
    const now = Date.now();
    const times = paths.map(async (path) => {
      const found = await stat(join(root, path)).catch(() => undefined);
      if (found === undefined) return '';
      return `${found.ino}:${found.ctimeMs}${now - found.ctimeMs < FRESH ? `:${now}` : ''}`;
    });
    return (await Promise.all(times)).join(' ');
  }

  #complain(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#init.logger.warn({ path: this.#init.root }, 'image layout is not there, waiting for it');
  }
}
