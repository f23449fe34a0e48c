import type { Digest } from '../oci/digest.ts';
import { ChangeQueue } from '../store/change-queue.ts';
import {
  StoreUnavailableError,
  type ContentStore,
  type OpenBlob,
  type StoreChange,
  type StoredBlob,
  type StoredImage,
} from '../store/content-store.ts';
import type { Ingests } from '../store/ingests.ts';
import { Deadline } from '../timing/deadline.ts';
import type { IntegrityChecker } from './integrity-checker.ts';
import type { Outcome } from './verifier.ts';

/** How long who opens a blob waits for it to be verified, in milliseconds: less than a peer waits for an answer. */
const PATIENCE_MS = 700;
/** How often a blob is opened whose file is replaced again and again. */
const ATTEMPTS = 3;
/** As in `store/change-hub.ts`: beyond it a consumer is told to relist. */
const MAX_QUEUED = 4_096;

/** What a {@link GuardedStore} works with. */
export interface GuardedStoreComponents {
  readonly store: ContentStore;
  readonly judge: IntegrityChecker;
  /** Told of blobs that are new, and of such that have to be looked at again. */
  readonly patrol: { newcomer(digest: Digest): void; lookSoon(digest: Digest): void };
}

/**
 * A store that gives out nothing that it does not know to be right. To who uses it a bad blob is not there:
 * it cannot be opened, is not listed, and is announced as deleted when it is found, and as added when it is
 * right again.
 *
 * A blob that nothing is known of is verified when it is opened. When that takes longer than {@link PATIENCE_MS},
 * `open` rejects with `StoreUnavailableError`, and verifying goes on.
 */
export class GuardedStore implements ContentStore {
  readonly ingests?: Ingests;
  readonly #store: ContentStore;
  readonly #judge: IntegrityChecker;
  readonly #patrol: GuardedStoreComponents['patrol'];
  readonly #patience: number;
  readonly #queues = new Set<ChangeQueue>();

  /** @param patience milliseconds, by default {@link PATIENCE_MS} */
  constructor({ store, judge, patrol }: GuardedStoreComponents, patience = PATIENCE_MS) {
    this.#store = store;
    if (store.ingests !== undefined) this.ingests = store.ingests;
    this.#judge = judge;
    this.#patrol = patrol;
    this.#patience = patience;
    judge.listen({
      withheld: (digest) => {
        this.#publish({ kind: 'blob-deleted', digest });
      },
      released: (digest) => {
        this.#publish({ kind: 'blob-added', digest });
      },
      unsettled: (digest) => {
        patrol.lookSoon(digest);
      },
    });
  }

  images(signal?: AbortSignal): Promise<StoredImage[]> {
    return this.#store.images(signal);
  }

  image(name: string, signal?: AbortSignal): Promise<StoredImage | undefined> {
    return this.#store.image(name, signal);
  }

  async *blobs(signal?: AbortSignal): AsyncGenerator<readonly StoredBlob[], void, undefined> {
    for await (const batch of this.#store.blobs(signal)) {
      const allowed: StoredBlob[] = [];
      for (const blob of batch) {
        if (!(await this.#isWithheld(blob.digest, signal))) allowed.push(blob);
      }
      yield allowed;
    }
  }

  async stat(digest: Digest, signal?: AbortSignal): Promise<StoredBlob | undefined> {
    const blob = await this.#store.stat(digest, signal);
    if (blob === undefined || (await this.#isWithheld(digest, signal))) return undefined;
    return blob;
  }

  async open(digest: Digest, signal?: AbortSignal): Promise<OpenBlob | undefined> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const blob = await this.#store.open(digest, signal);
      if (blob === undefined) return undefined;
      let keep = false;
      try {
        let known = await this.#judge.recall(blob, signal);
        if (known === 'unknown') {
          await this.#find(blob, signal);
          known = await this.#judge.recall(blob, signal);
        }
        keep = known === 'right';
        if (keep) return blob;
        if (known === 'bad') return undefined;
      } finally {
        if (!keep) await blob[Symbol.asyncDispose]();
      }
      // Still unknown: another file has taken its place, or none.
    }
    throw new StoreUnavailableError('The blob changes all the time');
  }

  async *changes(signal: AbortSignal): AsyncGenerator<StoreChange, void, undefined> {
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    const queue = new ChangeQueue(MAX_QUEUED, either);
    this.#queues.add(queue);
    const following = this.#follow(queue, either);
    try {
      for (;;) {
        const change = await queue.next();
        if (change === undefined) return;
        yield change;
      }
    } finally {
      this.#queues.delete(queue);
      stop.abort();
      await following;
    }
  }

  verifiedAtCommit(blob: OpenBlob, signal?: AbortSignal): Promise<boolean> {
    return this.#judge.isVouchedFor(blob, signal);
  }

  async #follow(queue: ChangeQueue, signal: AbortSignal): Promise<void> {
    try {
      for await (const change of this.#store.changes(signal)) {
        if (change.kind === 'blob-added') {
          // Whoever put it there may have replaced the bad one; when it is right, that is announced.
          if (this.#judge.isSuspect(change.digest)) {
            this.#patrol.lookSoon(change.digest);
            if (await this.#isWithheld(change.digest, signal)) continue;
          }
          queue.push(change);
          this.#patrol.newcomer(change.digest);
        } else {
          if (change.kind === 'blob-deleted') this.#judge.gone(change.digest);
          queue.push(change);
        }
      }
    } catch (error) {
      queue.fail(error);
    }
  }

  #publish(change: StoreChange): void {
    for (const queue of this.#queues) queue.push(change);
  }

  /** Whether the blob was bad and has not been seen to be right since. */
  async #isWithheld(digest: Digest, signal?: AbortSignal): Promise<boolean> {
    if (!this.#judge.isSuspect(digest)) return false;
    await using blob = await this.#store.open(digest, signal);
    if (blob === undefined) return false;
    const known = await this.#judge.recall(blob, signal);
    if (known === 'unknown') {
      this.#judge.suspend(blob);
      this.#patrol.lookSoon(digest);
    }
    return known !== 'right';
  }

  /** @throws StoreUnavailableError when it takes too long or cannot be said */
  async #find(blob: OpenBlob, signal: AbortSignal | undefined): Promise<void> {
    const outcome = await this.#inTime(this.#judge.find(blob), signal);
    if (outcome === 'unsettled') throw new StoreUnavailableError('The blob is being written to');
  }

  async #inTime(finding: Promise<Outcome>, signal: AbortSignal | undefined): Promise<Outcome> {
    signal?.throwIfAborted();
    using deadline = new Deadline(this.#patience, signal);
    const late = Promise.withResolvers<never>();
    deadline.signal.addEventListener('abort', () => {
      const error = new StoreUnavailableError('The blob is being verified');
      late.reject(signal?.aborted === true ? (signal.reason as Error) : error);
    });
    // Who comes too late for it must not make it an unhandled rejection.
    finding.catch(() => undefined);
    return await Promise.race([finding, late.promise]);
  }
}
