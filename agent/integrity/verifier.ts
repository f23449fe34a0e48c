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

/** Bytes up to which a blob is hashed here. For these, the message to the thread would take longer. */
const SMALL = 1024 * 1024;
/** Small blobs that are read at the same time. */
const MAX_SMALL = 4;
/** Blobs that requests wait for. Beyond it the outcome is `unsettled`. */
const MAX_PENDING = 1_024;
/** Times that a blob is read when its file changes meanwhile. */
const ATTEMPTS = 2;
/**
 * Milliseconds between the last change of a file and reading it. The clock of a file system ticks some hundred times
 * a second, and two changes within one tick leave the same time.
 */
const TICK_MS = 50;
/** Milliseconds since the last change within which a file may still be written, and is not called wrong. */
export const SETTLED_MS = 1_000;

/** A blob to verify; an open blob will do. */
export type Subject = Pick<OpenBlob, 'digest' | 'size' | 'file'>;

/**
 * The outcome of verifying a blob: a finding, which is then among the results; `gone` when the blob was removed;
 * `unsettled` when its file is being written, or too many blobs wait to be verified.
 */
export type Outcome = Finding | 'gone' | 'unsettled';

export interface VerifierComponents {
  readonly store: Pick<ContentStore, 'open'>;
  readonly results: VerificationResults;
  /** Disposed of with the verifier. */
  readonly thread: HashThread;
  readonly metrics: Pick<Metrics, 'blobsVerified'>;
}

/** Reads blobs, compares them with their digests, and stores the results. */
export class Verifier implements AsyncDisposable {
  readonly #components: VerifierComponents;
  readonly #pending = new Map<Digest, Promise<Outcome>>();
  readonly #small = pLimit(MAX_SMALL);
  readonly #stop = new AbortController();

  constructor(components: VerifierComponents) {
    this.#components = components;
  }

  /** Number of blobs that requests wait for. */
  get pending(): number {
    return this.#pending.size;
  }

  /**
   * Verifies as fast as possible, once for all concurrent calls.
   *
   * @throws StoreUnavailableError when the blob cannot be read, or once the verifier is disposed of
   */
  verify(subject: Subject): Promise<Outcome> {
    const { digest } = subject;
    const before = this.#pending.get(digest);
    if (before !== undefined) return before;
    if (this.#pending.size >= MAX_PENDING) return Promise.resolve('unsettled');
    const { signal } = this.#stop;
    const outcome = this.#verify(subject, () => this.#readFast(subject, signal), signal).finally(
      () => {
        this.#pending.delete(digest);
      },
    );
    this.#pending.set(digest, outcome);
    return outcome;
  }

  /**
   * Verifies in the background.
   *
   * @param rate bytes a second at most
   * @throws as {@link verify}; the signal's reason
   */
  async verifySlowly(subject: Subject, rate: number, signal: AbortSignal): Promise<Outcome> {
    const { digest, file } = subject;
    const read = (): Promise<HashedFile> =>
      file === undefined
        ? this.#readRemote(subject, signal)
        : hashFile(file.path, digestAlgorithm(digest), rate, signal);
    return await this.#verify(subject, read, signal);
  }

  /** Ends the verifications under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new StoreUnavailableError('Verifying has ended'));
    await this.#components.thread[Symbol.asyncDispose]();
    await Promise.allSettled(this.#pending.values());
  }

  async #verify(
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
      signal.throwIfAborted();
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
    this.#components.results.set(digest, { state, finding, checkedAt: Date.now() });
    return finding;
  }

  async #readFast(subject: Subject, signal: AbortSignal): Promise<HashedFile> {
    const { digest, file, size } = subject;
    if (file === undefined) return await this.#readRemote(subject, signal);
    const algorithm = digestAlgorithm(digest);
    if (size > SMALL) return await this.#components.thread.hash(file.path, algorithm, size);
    return await this.#small(() => hashFile(file.path, algorithm, Infinity, signal));
  }

  /** Reads a blob without a file, through containerd. */
  async #readRemote({ digest, size }: Subject, signal: AbortSignal): Promise<HashedFile> {
    const hash = createHash(digestAlgorithm(digest));
    await using blob = await this.#components.store.open(digest, signal);
    if (blob === undefined) throw Object.assign(new Error('gone'), { code: 'ENOENT' });
    if (size > 0) {
      for await (const chunk of blob.stream({ start: 0, end: size - 1 }, signal)) {
        hash.update(chunk as Buffer);
      }
    }
    const unseen = { ino: 0n, size: BigInt(size), mtimeNs: 0n, ctimeNs: 0n };
    return { hex: hash.digest('hex'), before: unseen, after: unseen };
  }
}

/** Whether the error is the disk's, and not a shortage of memory or file descriptors. */
function isOfTheDisk(error: unknown): boolean {
  const code = codeOf(error) ?? '';
  return /^E[A-Z0-9]+$/.test(code) && !['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'].includes(code);
}

/** Milliseconds since a file was last changed; not negative when a clock was set back. */
function sinceChange(ctimeNs: bigint | undefined): number {
  return ctimeNs === undefined ? Infinity : Math.abs(Date.now() - Number(ctimeNs) / 1e6);
}

/** The state that was hashed, or `undefined` when the file changed meanwhile. */
function stateAfter(path: string, size: number, hashed: HashedFile): string | undefined {
  const [before, after] = [hashed.before, hashed.after].map((state) =>
    stateOf({ size, file: { path, state } }),
  );
  return before === after ? after : undefined;
}
