import assert from 'node:assert/strict';
import { mkdtemp, open, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';

import { pino } from 'pino';

import { GuardedStore } from '../integrity/guarded-store.ts';
import { HashThread } from '../integrity/hash-thread.ts';
import { IntegrityChecker } from '../integrity/integrity-checker.ts';
import { Scrubber, type ScrubberInit } from '../integrity/scrubber.ts';
import { ResultsFile } from '../integrity/results-file.ts';
import { VerificationResults } from '../integrity/verification-results.ts';
import { Verifier } from '../integrity/verifier.ts';
import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import { blobPath } from '../store/blob-file.ts';
import type { ContentStore, OpenBlob } from '../store/content-store.ts';
import { eventually } from './eventually.ts';
import { LayoutUnderTest } from './layout-fixture.ts';

/** Options of a {@link GuardUnderTest}. */
export interface GuardUnderTestInit extends Partial<ScrubberInit> {
  /** Milliseconds that `open` waits for a verification; 30,000 by default. */
  readonly patience?: number;
  /** Replaces the store's `verifiedAtCommit`. */
  readonly verifiedAtCommit?: (blob: OpenBlob) => Promise<boolean>;
}

/** A guarded store over a real image layout, with its scrubber and results file, as an agent builds it. */
export class GuardUnderTest implements AsyncDisposable {
  readonly store: GuardedStore;
  readonly results = new VerificationResults();
  readonly checker: IntegrityChecker;
  readonly metrics: Metrics = createMetrics();
  readonly thread = new HashThread();
  readonly verifier: Verifier;
  /** Lines of the log, of level `info` and above. */
  readonly log: string[] = [];
  readonly #file: ResultsFile;
  readonly #scrubber: Scrubber;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  private constructor(layout: LayoutUnderTest, folder: string, init: GuardUnderTestInit) {
    const logger = pino({ level: 'info' }, { write: (line: string) => this.log.push(line) });
    const { verifiedAtCommit } = init;
    const store =
      verifiedAtCommit === undefined
        ? layout.store
        : Object.assign(layout.store, { verifiedAtCommit });
    const { results, metrics, thread } = this;
    this.#file = new ResultsFile({ results, logger }, folder, 100);
    this.verifier = new Verifier({ store, results, thread, metrics });
    const imagesOf = (): string[] => ['docker.io/library/app:1'];
    const { verifier } = this;
    this.checker = new IntegrityChecker({ store, results, verifier, metrics, imagesOf, logger });
    const { checker } = this;
    this.#scrubber = new Scrubber(
      { store, checker, results, logger },
      { rate: 0, interval: 3_600_000, badInterval: 50, startDelay: 1, ...init },
    );
    this.store = new GuardedStore(
      { store, checker, scrubber: this.#scrubber },
      init.patience ?? 30_000,
    );
  }

  /** @param folder the data directory, which is not removed with the guard */
  static async start(
    layout: LayoutUnderTest,
    folder: string,
    init: GuardUnderTestInit = {},
  ): Promise<GuardUnderTest> {
    const guard = new GuardUnderTest(layout, folder, init);
    await guard.#file.load();
    const { signal } = guard.#stop;
    guard.#running = Promise.all([guard.#scrubber.run(signal), guard.#file.run(signal)]);
    return guard;
  }

  /** Number of blobs that were read with this result. */
  async verified(result: string): Promise<number> {
    const { values } = await this.metrics.blobsVerified.get();
    return values.find(({ labels }) => labels.result === result)?.value ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.verifier[Symbol.asyncDispose]();
  }
}

/** An empty image layout and a data directory, removed when disposed of. */
export async function makeFolders(): Promise<
  AsyncDisposable & { layout: LayoutUnderTest; data: string }
> {
  const layout = await (await LayoutUnderTest.create()).begin();
  const data = await mkdtemp(join(tmpdir(), 'peerglass-data-'));
  return {
    layout,
    data,
    async [Symbol.asyncDispose]() {
      await layout[Symbol.asyncDispose]();
      await rm(data, { recursive: true, force: true });
    },
  };
}

/** Changes a byte in the middle of the blob's file, and sets its modification time back. */
export async function damage(root: string, digest: Digest): Promise<void> {
  const path = blobPath(root, digest);
  const { atime, mtime, size } = await stat(path);
  const file = await open(path, 'r+');
  const middle = Math.floor(size / 2);
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, middle);
  await file.write(Buffer.from([(byte[0] ?? 0) ^ 0xff]), 0, 1, middle);
  await file.close();
  await utimes(path, atime, mtime);
}

/** Reads the whole blob; `undefined` when the store does not have it. */
export async function readAll(store: ContentStore, digest: Digest): Promise<Buffer | undefined> {
  await using blob = await store.open(digest);
  return blob && (await buffer(blob.stream({ start: 0, end: blob.size - 1 })));
}

/** The digests of all blobs that the store lists. */
export async function listed(store: ContentStore): Promise<Digest[]> {
  const digests: Digest[] = [];
  for await (const batch of store.blobs()) digests.push(...batch.map(({ digest }) => digest));
  return digests;
}

/** Opens the blob until the store no longer has it, and checks that it is not listed either. */
export async function withheld(store: ContentStore, digest: Digest): Promise<void> {
  await eventually(async () => {
    assert.equal(await readAll(store, digest), undefined);
  });
  assert.equal(await store.stat(digest), undefined);
  assert.ok(!(await listed(store)).includes(digest));
}
