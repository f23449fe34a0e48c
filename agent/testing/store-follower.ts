import { isDeepStrictEqual } from 'node:util';

import type { Digest } from '../oci/digest.ts';
import {
  StoreUnavailableError,
  type ContentStore,
  type StoreChange,
} from '../store/content-store.ts';

/**
 * A consumer of `changes()` for tests, as the port describes it: it lists everything on `relist`, and looks up
 * whatever else it is told of.
 */
export class StoreFollower implements AsyncDisposable {
  /** What the store holds, as far as this consumer has been told. */
  readonly blobs = new Set<Digest>();
  /** Image names and the digests that they point to. */
  readonly images = new Map<string, Digest>();
  /** Every change so far, in order. */
  readonly changes: StoreChange[] = [];
  readonly #store: ContentStore;
  readonly #patience: number;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  #failure: unknown;

  /** @param patience the longest that anything is waited for, in milliseconds */
  constructor(store: ContentStore, patience: number) {
    this.#store = store;
    this.#patience = patience;
    this.#running = this.#follow().catch((error: unknown) => {
      this.#failure = error;
    });
  }

  /** Resolves once the first `relist` has come and a moment has passed without another change. */
  async settled(): Promise<void> {
    await this.until(() => this.relists > 0, 'the first relist has come');
    for (let before = -1; before !== this.changes.length;) {
      before = this.changes.length;
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
  }

  /** How often it was told to list everything. */
  get relists(): number {
    return this.count({ kind: 'relist' });
  }

  /** How often it was told exactly this. */
  count(change: StoreChange): number {
    return this.changes.filter((each) => isDeepStrictEqual(each, change)).length;
  }

  /** Resolves once it has been told exactly this. */
  async sees(change: StoreChange): Promise<void> {
    await this.until(() => this.count(change) > 0, `it is told ${JSON.stringify(change)}`);
  }

  /** Resolves once `condition` holds; rejects when it still does not after all patience. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + this.#patience;
    while (!condition()) {
      if (this.#failure !== undefined)
        throw new Error('Following failed', { cause: this.#failure });
      if (Date.now() > deadline) {
        throw new Error(
          `Waited in vain until ${what}; told: ${JSON.stringify(this.changes.slice(-20))}`,
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
        // What was told last may have gone together with the store, whose return means a relist.
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
