import { mkdtemp, open, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

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
import type { OpenBlob } from '../store/content-store.ts';
import { LayoutUnderTest } from './layout-fixture.ts';

/** What a test may choose of a {@link Guarding}. */
export interface GuardingInit extends Partial<ScrubberInit> {
  /** Milliseconds that `open` waits; 30,000 by default. */
  readonly patience?: number;
  /** Replaces the store's `verifiedAtCommit`. */
  readonly verifiedAtCommit?: (blob: OpenBlob) => Promise<boolean>;
}

/** A guard over a real folder, with all that belongs to it; as if an agent had started. */
export class Guarding implements AsyncDisposable {
  readonly store: GuardedStore;
  readonly verdicts = new VerificationResults();
  readonly judge: IntegrityChecker;
  readonly metrics: Metrics = createMetrics();
  readonly thread = new HashThread();
  readonly verifier: Verifier;
  /** Lines of the log, of level `info` and above. */
  readonly log: string[] = [];
  readonly #file: ResultsFile;
  readonly #patrol: Scrubber;
  readonly #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  private constructor(layout: LayoutUnderTest, folder: string, init: GuardingInit) {
    const logger = pino({ level: 'info' }, { write: (line: string) => this.log.push(line) });
    const { verifiedAtCommit } = init;
    const store =
      verifiedAtCommit === undefined
        ? layout.store
        : Object.assign(layout.store, { verifiedAtCommit });
    const { verdicts, metrics, thread } = this;
    this.#file = new ResultsFile({ verdicts, logger }, folder, 100);
    this.verifier = new Verifier({ store, verdicts, thread, metrics });
    const imagesOf = (): string[] => ['docker.io/library/app:1'];
    const { verifier } = this;
    this.judge = new IntegrityChecker({ store, verdicts, verifier, metrics, imagesOf, logger });
    const { judge } = this;
    this.#patrol = new Scrubber(
      { store, judge, verdicts, logger },
      { rate: 0, interval: 3_600_000, badInterval: 50, startDelay: 1, ...init },
    );
    this.store = new GuardedStore({ store, judge, patrol: this.#patrol }, init.patience ?? 30_000);
  }

  /** @param folder the data directory; its files outlive the guard */
  static async start(
    layout: LayoutUnderTest,
    folder: string,
    init: GuardingInit = {},
  ): Promise<Guarding> {
    const guard = new Guarding(layout, folder, init);
    await guard.#file.load();
    const { signal } = guard.#stop;
    guard.#running = Promise.all([guard.#patrol.run(signal), guard.#file.run(signal)]);
    return guard;
  }

  /** How many blobs were read with this result. */
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

/** A layout folder and a data directory, removed at the end. */
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
