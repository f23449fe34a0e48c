import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import type { Digest } from '../oci/digest.ts';
import { StoreUnavailableError, type ContentStore, type OpenBlob } from '../store/content-store.ts';
import { stateOf, type Finding, type VerificationResults } from './verification-results.ts';
import type { Outcome, Subject, Verifier } from './verifier.ts';

/** A verdict on bytes whose file cannot be seen is good for so many milliseconds. */
const UNSEEN_VALIDITY_MS = 3_600_000;
/** Names of images in a line of the log. */
const MAX_NAMES = 10;

/** What an administrator is told to do. `content rm` does not help: containerd takes the file over again. */
const REMEDY =
  'remove every image that uses it (crictl rmi IMAGE, or ctr -n k8s.io images rm --sync NAME for each name) and pull again; look at the disk';

/** A blob that is held and must not be served. */
export interface BadBlob {
  readonly finding: Exclude<Finding, 'right'>;
  readonly path: string | undefined;
}

interface Withheld extends BadBlob {
  /** Not of one that was bad before this process began and has not been looked at yet. */
  readonly reported: boolean;
}

/** What a {@link IntegrityChecker} works with. */
export interface IntegrityCheckerComponents {
  readonly store: Pick<ContentStore, 'open' | 'verifiedAtCommit'>;
  readonly verdicts: VerificationResults;
  readonly verifier: Pick<Verifier, 'verify' | 'verifySlowly'>;
  readonly metrics: Pick<Metrics, 'blobsCorrupt'>;
  /** Names of the images that a blob belongs to. */
  readonly imagesOf: (digest: Digest) => readonly string[];
  readonly logger: Logger;
}

/** Who wants to know when a blob must not be served any more, or may be again. */
export interface JudgeListener {
  withheld(digest: Digest): void;
  released(digest: Digest): void;
  /** It could not be said yet. */
  unsettled(digest: Digest): void;
}

/** Knows of each blob whether it may be served: by verdict, by who vouches for it, or by reading it. */
export class IntegrityChecker {
  readonly #components: IntegrityCheckerComponents;
  readonly #bad = new Map<Digest, Withheld>();
  #listener: JudgeListener | undefined;

  constructor(components: IntegrityCheckerComponents) {
    this.#components = components;
  }

  /** Blobs that are held and withheld. */
  get bad(): ReadonlyMap<Digest, BadBlob> {
    return this.#bad;
  }

  listen(listener: JudgeListener): void {
    this.#listener = listener;
  }

  /** Whether the blob was bad when it was last read, in the state that its file had then. */
  isSuspect(digest: Digest): boolean {
    const finding = this.#components.verdicts.get(digest)?.finding;
    return (finding !== undefined && finding !== 'right') || this.#bad.has(digest);
  }

  /** What is known without reading the blob. */
  async recall(blob: OpenBlob, signal?: AbortSignal): Promise<'right' | 'bad' | 'unknown'> {
    const { digest } = blob;
    const verdict = this.#components.verdicts.get(digest);
    const expired =
      blob.file === undefined && Date.now() - (verdict?.checkedAt ?? 0) > UNSEEN_VALIDITY_MS;
    if (verdict !== undefined && !expired && verdict.state === stateOf(blob)) {
      this.#act(blob, verdict.finding);
      return verdict.finding === 'right' ? 'right' : 'bad';
    }
    if (!(await this.isVouchedFor(blob, signal))) return 'unknown';
    this.#act(blob, 'right');
    return 'right';
  }

  /** Reads the blob, for somebody who waits for it. */
  async find(subject: Subject): Promise<Outcome> {
    return this.#act(subject, await this.#components.verifier.verify(subject));
  }

  /** Reads the blob in the background, at most so many bytes a second. */
  async findSlowly(subject: Subject, rate: number, signal: AbortSignal): Promise<Outcome> {
    const { verifier } = this.#components;
    return this.#act(subject, await verifier.verifySlowly(subject, rate, signal));
  }

  /** The blob was bad and its file is another one now: withheld until it is known to be right. */
  suspend({ digest, file }: Subject): void {
    if (this.#bad.has(digest)) return;
    this.#bad.set(digest, { finding: 'wrong', path: file?.path, reported: false });
    this.#count();
  }

  /** The node does not hold the blob any more. */
  gone(digest: Digest): void {
    this.#bad.delete(digest);
    this.#count();
  }

  async isVouchedFor(blob: OpenBlob, signal?: AbortSignal): Promise<boolean> {
    try {
      return (await this.#components.store.verifiedAtCommit?.(blob, signal)) ?? false;
    } catch (error) {
      if (error instanceof StoreUnavailableError) return false;
      throw error;
    }
  }

  #act(subject: Subject, outcome: Outcome): Outcome {
    const { digest } = subject;
    switch (outcome) {
      case 'right':
        this.#release(digest);
        break;
      case 'wrong':
      case 'unreadable':
        this.#withhold(subject, outcome);
        break;
      case 'unsettled':
        this.#listener?.unsettled(digest);
        break;
      case 'gone':
        break;
    }
    return outcome;
  }

  #withhold({ digest, file }: Subject, finding: BadBlob['finding']): void {
    const reported = this.#bad.get(digest)?.reported ?? false;
    this.#bad.set(digest, { finding, path: file?.path, reported: true });
    if (reported) return;
    this.#count();
    const images = this.#components.imagesOf(digest).slice(0, MAX_NAMES);
    this.#components.logger.error(
      { digest, path: file?.path, finding, images, remedy: REMEDY },
      finding === 'wrong'
        ? 'blob has wrong bytes on disk: no longer served nor advertised'
        : 'blob cannot be read from disk: no longer served nor advertised',
    );
    this.#listener?.withheld(digest);
  }

  #release(digest: Digest): void {
    if (!this.#bad.delete(digest)) return;
    this.#count();
    this.#components.logger.info({ digest }, 'blob is right again: served and advertised');
    this.#listener?.released(digest);
  }

  #count(): void {
    this.#components.metrics.blobsCorrupt.set(this.#bad.size);
  }
}
