import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import { StoreUnavailableError, type ContentStore, type OpenBlob } from '../store/content-store.ts';
import { stateOf, type Finding, type VerificationResults } from './verification-results.ts';
import type { Outcome, Subject, Verifier } from './verifier.ts';

/** Milliseconds for which a result holds when the blob's file cannot be seen, so that a change stays unnoticed. */
const UNSEEN_VALIDITY_MS = 3_600_000;
/** Names of images in a line of the log. */
const MAX_NAMES = 10;
/** Blobs lost at one time of which each is an error in the log; further ones are at debug. All are when a folder is. */
const MAX_LOST_LINES = 20;

/** What an administrator can do. `content rm` does not help: containerd takes the same file over again. */
const REMEDY =
  'remove every image that uses it (crictl rmi IMAGE, or ctr -n k8s.io images rm --sync NAME for each name) and pull again; look at the disk';

/** A blob that the node holds and that must not be served. */
export interface BadBlob {
  /** `missing`: the store has a record of the blob, and its file is gone. */
  readonly finding: Exclude<Finding, 'right'> | 'missing';
  readonly path: string | undefined;
}

const WHAT: Readonly<Record<BadBlob['finding'], string>> = {
  wrong: 'blob has wrong bytes on disk',
  unreadable: 'blob cannot be read from disk',
  missing: 'blob has a record in the store and no file on disk',
};

interface Withheld extends BadBlob {
  /** False for a blob that was bad before this process began and has not been verified since. */
  readonly reported: boolean;
}

export interface IntegrityCheckerComponents {
  readonly store: Pick<ContentStore, 'open' | 'verifiedAtCommit' | 'lostFile'>;
  readonly results: VerificationResults;
  readonly verifier: Pick<Verifier, 'verify' | 'verifySlowly'>;
  readonly metrics: Pick<Metrics, 'blobsCorrupt'>;
  /** Names of the images that a blob belongs to. */
  readonly imagesOf: (digest: Digest) => readonly string[];
  readonly logger: Logger;
}

/** Learns when a blob must no longer be served, and when it may be served again. */
export interface IntegrityListener {
  withheld(digest: Digest): void;
  released(digest: Digest): void;
  /** The blob could not be verified yet. */
  unsettled(digest: Digest): void;
}

/**
 * Decides whether a blob may be served: by an earlier result, by the store's verification at commit, or by
 * reading the blob.
 */
export class IntegrityChecker {
  readonly #components: IntegrityCheckerComponents;
  readonly #bad = new Map<Digest, Withheld>();
  #listener: IntegrityListener | undefined;

  constructor(components: IntegrityCheckerComponents) {
    this.#components = components;
  }

  /** Blobs that the node holds and that are withheld. */
  get bad(): ReadonlyMap<Digest, BadBlob> {
    return this.#bad;
  }

  /** Sets the one listener. */
  listen(listener: IntegrityListener): void {
    this.#listener = listener;
  }

  /** Whether the blob was bad when it was last verified. Its file may have changed since. */
  isKnownBad(digest: Digest): boolean {
    const finding = this.#components.results.get(digest)?.finding;
    return (finding !== undefined && finding !== 'right') || this.#bad.has(digest);
  }

  /** The state of the blob as far as it is known without reading its bytes. */
  async lookUp(blob: OpenBlob, signal?: AbortSignal): Promise<'right' | 'bad' | 'unknown'> {
    const { digest } = blob;
    const result = this.#components.results.get(digest);
    const expired =
      blob.file === undefined && Date.now() - (result?.checkedAt ?? 0) > UNSEEN_VALIDITY_MS;
    if (result !== undefined && !expired && result.state === stateOf(blob)) {
      this.#apply(blob, result.finding);
      return result.finding === 'right' ? 'right' : 'bad';
    }
    if (!(await this.isVerifiedAtCommit(blob, signal))) return 'unknown';
    this.#apply(blob, 'right');
    return 'right';
  }

  /** Reads the blob as fast as possible, for a request that waits for it. */
  async verify(subject: Subject): Promise<Outcome> {
    return this.#apply(subject, await this.#components.verifier.verify(subject));
  }

  /**
   * Reads the blob in the background.
   *
   * @param rate bytes a second at most
   */
  async verifySlowly(subject: Subject, rate: number, signal: AbortSignal): Promise<Outcome> {
    const { verifier } = this.#components;
    return this.#apply(subject, await verifier.verifySlowly(subject, rate, signal));
  }

  /** Withholds a blob that was bad and whose file has changed since, until it is verified. */
  withholdUntilVerified({ digest, file }: Subject): void {
    if (this.#bad.has(digest)) return;
    this.#bad.set(digest, { finding: 'wrong', path: file?.path, reported: false });
    this.#count();
  }

  /**
   * Looks for the file of a blob that cannot be opened, and withholds the blob when the store has a record of it.
   *
   * @returns whether the blob is lost; as it was known before, while the store cannot be reached
   */
  async findLost(digest: Digest, signal?: AbortSignal): Promise<boolean> {
    try {
      const path = await this.#components.store.lostFile?.(digest, signal);
      if (path === undefined) return false;
      this.#withhold(digest, path, 'missing');
      return true;
    } catch (error) {
      if (error instanceof StoreUnavailableError) return this.isLost(digest);
      throw error;
    }
  }

  /** Whether the blob's file was gone when it was last looked for. */
  isLost(digest: Digest): boolean {
    return this.#bad.get(digest)?.finding === 'missing';
  }

  /** Forgets a blob that the node no longer holds. */
  forget(digest: Digest): void {
    this.#bad.delete(digest);
    this.#count();
  }

  /** As `ContentStore.verifiedAtCommit`; false while the store cannot be reached. */
  async isVerifiedAtCommit(blob: OpenBlob, signal?: AbortSignal): Promise<boolean> {
    try {
      return (await this.#components.store.verifiedAtCommit?.(blob, signal)) ?? false;
    } catch (error) {
      if (error instanceof StoreUnavailableError) return false;
      throw error;
    }
  }

  #apply(subject: Subject, outcome: Outcome): Outcome {
    const { digest } = subject;
    switch (outcome) {
      case 'right':
        this.#release(digest);
        break;
      case 'wrong':
      case 'unreadable':
        this.#withhold(digest, subject.file?.path, outcome);
        break;
      case 'unsettled':
        this.#listener?.unsettled(digest);
        break;
      case 'gone':
        break;
    }
    return outcome;
  }

  #withhold(digest: Digest, path: string | undefined, finding: BadBlob['finding']): void {
    const reported = this.#bad.get(digest)?.reported ?? false;
    this.#bad.set(digest, { finding, path, reported: true });
    if (reported) return;
    this.#count();
    const images = this.#components.imagesOf(digest).slice(0, MAX_NAMES);
    const level = finding === 'missing' && this.#hasManyLost() ? 'debug' : 'error';
    this.#components.logger[level](
      { digest, path, finding, images, remedy: REMEDY },
      `${WHAT[finding]}: no longer served nor advertised`,
    );
    this.#listener?.withheld(digest);
  }

  #release(digest: Digest): void {
    if (!this.#bad.delete(digest)) return;
    this.#count();
    this.#components.logger.info({ digest }, 'blob is right again: served and advertised');
    this.#listener?.released(digest);
  }

  #hasManyLost(): boolean {
    const lost = this.#bad.values().filter(({ finding }) => finding === 'missing');
    return lost.take(MAX_LOST_LINES + 1).toArray().length > MAX_LOST_LINES;
  }

  #count(): void {
    this.#components.metrics.blobsCorrupt.set(this.#bad.size);
  }
}
