import { isDeepStrictEqual } from 'node:util';

import type { Digest } from '../oci/digest.ts';
import {
  StoreUnavailableError,
  type ContentStore,
  type StoreChange,
} from '../store/content-store.ts';

/**
 * A consumer of `ContentStore.changes` for tests. It lists everything on `relist`, and looks up the object of every
 * other change.
 */
export class StoreFollower implements AsyncDisposable {
  /** Blobs of the store, as this consumer knows them. */
  readonly blobs = new Set<Digest>();
  /** Targets of the images by name, as this consumer knows them. */
  readonly images = new Map<string, Digest>();
  /** Every change so far, in order. */
  readonly changes: StoreChange[] = [];
  readonly #store: ContentStore;
  readonly #patience: number;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #failure: unknown;

  /** @param patience milliseconds that it waits for a condition at most */
  constructor(store: ContentStore, patience: number) {
    this.#store = store;
    this.#patience = patience;
    this.#running = this.#follow().catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** Resolves once the first `relist` has come and 300 ms have passed without another change. */
  async settled(): Promise<void> {
    await this.until(() => this.relists > 0, 'the first relist has come');
    for (let before = -1; before !== this.changes.length;) {
      before = this.changes.length;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }

  /** Number of `relist` changes so far. */
  get relists(): number {
    return this.count({ kind: 'relist' });
  }

  /** Number of changes so far that equal this one. */
  count(change: StoreChange): number {
    return this.changes.filter((each) => isDeepStrictEqual(each, change)).length;
  }

  /** Resolves once a change that equals this one has come. */
  async sees(change: StoreChange): Promise<void> {
    await this.until(() => this.count(change) > 0, `${JSON.stringify(change)} comes`);
  }

  /** Resolves once `condition` holds; rejects when it does not within the patience. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + this.#patience;
    while (!condition()) {
      if (this.#failure !== undefined)
        throw new Error('Following failed', { cause: this.#failure });
      if (Date.now() > deadline) {
        throw new Error(
          `Waited in vain until ${what}; changes: ${JSON.stringify(this.changes.slice(-20))}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #follow(): Promise<void> {
    for await (const change of this.#store.changes(this.#stop.signal)) {
      try {
        await this.#take(change);
      } catch (error) {
        // The store has become unavailable since. Its return means a relist.
        if (!(error instanceof StoreUnavailableError)) throw error;
      }
      this.changes.push(change);
    }
  }

  async #take(change: StoreChange): Promise<void> {
    switch (change.kind) {
      case 'relist':
        await this.#list();
        return;
      case 'blob-added':
      case 'blob-deleted':
        if ((await this.#store.stat(change.digest)) === undefined) this.blobs.delete(change.digest);
        else this.blobs.add(change.digest);
        return;
      case 'image-set':
      case 'image-deleted': {
        const image = await this.#store.image(change.name);
        if (image === undefined) this.images.delete(change.name);
        else this.images.set(change.name, image.target.digest);
      }
    }
  }

  async #list(): Promise<void> {
    const images = await this.#store.images();
    this.images.clear();
    for (const { name, target } of images) this.images.set(name, target.digest);
    this.blobs.clear();
    for await (const batch of this.#store.blobs()) {
      for (const { digest } of batch) this.blobs.add(digest);
    }
  }
}
