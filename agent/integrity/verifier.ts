import { createHash } from 'node:crypto';

import pLimit from 'p-limit';

import type { Metrics } from '../metrics/metrics.ts';
import { digestAlgorithm, digestHex, type Digest } from '../oci/digest.ts';
import { StoreUnavailableError, type ContentStore, type OpenBlob } from '../store/content-store.ts';
import { codeOf, isMissing } from '../errors/system-error.ts';
import { pause } from '../timing/pause.ts';
import { hashFile, type HashedFile } from './file-hash.ts';
import type { HashThread } from './hash-thread.ts';
import { stateOf, type Finding, type VerificationResults } from './verification-results.ts';

/** Up to so many bytes are hashed at once and here: a thread would take longer to be told of them. */
const SMALL = 1024 * 1024;
/** Small blobs that are read at a time. */
const MAX_SMALL = 4;
/** Most blobs that are or wait to be verified because somebody asks for them. */
const MAX_PENDING = 1_024;
/** How often a blob is read that is written to at the same time. */
const ATTEMPTS = 2;
/**
 * The clock of a file system ticks some hundred times a second: who writes within the tick of the last change
 * leaves no trace. So nothing is read before the last change is so many milliseconds ago.
 */
const TICK_MS = 50;
/** What was changed so short ago may still be written, and is not called wrong yet. Milliseconds. */
export const SETTLED_MS = 1_000;

/** What is needed to find a blob again; an open blob will do. */
export type Subject = Pick<OpenBlob, 'digest' | 'size' | 'file'>;

/**
 * What came of verifying: a finding, which is in the verdicts then; `gone` when there is nothing to verify any
 * more; `unsettled` when it is being written to, or too much is to be verified at once.
 */
export type Outcome = Finding | 'gone' | 'unsettled';

/** What a {@link Verifier} works with. */
export interface VerifierComponents {
  readonly store: Pick<ContentStore, 'open'>;
  readonly verdicts: VerificationResults;
  /** Ended with the verifier. */
  readonly thread: HashThread;
  readonly metrics: Pick<Metrics, 'blobsVerified'>;
}

/** Reads blobs, compares them with their digests, and keeps the verdicts. */
export class Verifier implements AsyncDisposable {
  readonly #components: VerifierComponents;
  readonly #pending = new Map<Digest, Promise<Outcome>>();
  readonly #small = pLimit(MAX_SMALL);
  readonly #stop = new AbortController();

  constructor(components: VerifierComponents) {
    this.#components = components;
  }

  /** Blobs that somebody waits for. */
  get pending(): number {
    return this.#pending.size;
  }

  /** Verifies as fast as it goes, once for all who ask meanwhile. Rejects when verifying has ended for good. */
  verify(subject: Subject): Promise<Outcome> {
    const { digest } = subject;
    const before = this.#pending.get(digest);
    if (before !== undefined) return before;
    if (this.#pending.size >= MAX_PENDING) return Promise.resolve('unsettled');
    const { signal } = this.#stop;
    const outcome = this.#find(subject, () => this.#readFast(subject, signal), signal).finally(
      () => {
        this.#pending.delete(digest);
      },
    );
    this.#pending.set(digest, outcome);
    return outcome;
  }

  /** Verifies in the background, at most so many bytes a second. Rejects with the signal's reason. */
  async verifySlowly(subject: Subject, rate: number, signal: AbortSignal): Promise<Outcome> {
    const { digest, file } = subject;
    const read = (): Promise<HashedFile> =>
      file === undefined
        ? this.#readRemote(subject, signal)
        : hashFile(file.path, digestAlgorithm(digest), rate, signal);
    return await this.#find(subject, read, signal);
  }

  /** Ends what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new StoreUnavailableError('Verifying has ended'));
    await this.#components.thread[Symbol.asyncDispose]();
    await Promise.allSettled(this.#pending.values());
  }

  async #find(
    subject: Subject,
    read: () => Promise<HashedFile>,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const outcome = await this.#compare(subject, read, signal);
    this.#components.metrics.blobsVerified.inc({ result: outcome });
    return outcome;
  }

  async #compare(
    subject: Subject,
    read: () => Promise<HashedFile>,
    signal: AbortSignal,
  ): Promise<Outcome> {
    const { digest, file, size } = subject;
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      if (attempt > 0 || sinceChange(file?.state.ctimeNs) < TICK_MS) await pause(TICK_MS, signal);
      let hashed: HashedFile;
      try {
        hashed = await read();
      } catch (error) {
        signal.throwIfAborted();
        if (isMissing(error)) return 'gone';
        if (file === undefined || !isOfTheDisk(error)) {
          throw new StoreUnavailableError('The blob cannot be verified', { cause: error });
        }
        return this.#settle(digest, stateOf(subject), 'unreadable');
      }
      const state = file === undefined ? stateOf(subject) : stateAfter(file.path, size, hashed);
      if (state === undefined) continue;
      if (hashed.hex === digestHex(digest)) return this.#settle(digest, state, 'right');
      if (file !== undefined && sinceChange(hashed.after.ctimeNs) < SETTLED_MS) return 'unsettled';
      return this.#settle(digest, state, 'wrong');
    }
    return 'unsettled';
  }

  #settle(digest: Digest, state: string, finding: Finding): Finding {
    this.#components.verdicts.set(digest, { state, finding, checkedAt: Date.now() });
    return finding;
  }

  async #readFast(subject: Subject, signal: AbortSignal): Promise<HashedFile> {
    const { digest, file, size } = subject;
    if (file === undefined) return await this.#readRemote(subject, signal);
    const algorithm = digestAlgorithm(digest);
    if (size > SMALL) return await this.#components.thread.hash(file.path, algorithm, size);
    return await this.#small(() => hashFile(file.path, algorithm, Infinity, signal));
  }

  /** Through containerd, in pieces of at most 1 MiB, at the pace at which they come. */
  async #readRemote({ digest, size }: Subject, signal: AbortSignal): Promise<HashedFile> {
    const hash = createHash(digestAlgorithm(digest));
    await using blob = await this.#components.store.open(digest, signal);
    if (blob === undefined) throw Object.assign(new Error('gone'), { code: 'ENOENT' });
    if (size > 0) {
      for await (const piece of blob.stream({ start: 0, end: size - 1 }, signal)) {
        hash.update(piece as Buffer);
      }
    }
    const nowhere = { ino: 0n, size: BigInt(size), mtimeNs: 0n, ctimeNs: 0n };
    return { hex: hash.digest('hex'), before: nowhere, after: nowhere };
  }
}

/** Whether the system refused to read the file, rather than that it or we were short of something. */
function isOfTheDisk(error: unknown): boolean {
  const code = codeOf(error) ?? '';
  return /^E[A-Z0-9]+$/.test(code) && !['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'].includes(code);
}

/** Milliseconds since a file was last changed, which no clock that was set back makes negative. */
function sinceChange(ctimeNs: bigint | undefined): number {
  return ctimeNs === undefined ? Infinity : Math.abs(Date.now() - Number(ctimeNs) / 1e6);
}

/** The state that was read, or `undefined` when it changed meanwhile. */
function stateAfter(path: string, size: number, hashed: HashedFile): string | undefined {
  const [before, after] = [hashed.before, hashed.after].map((state) =>
    stateOf({ size, file: { path, state } }),
  );
  return before === after ? after : undefined;
}
