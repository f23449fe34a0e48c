import type { Digest } from '../oci/digest.ts';
import type { OpenBlob } from '../store/content-store.ts';

/** What became of comparing a blob's bytes with its digest; `unreadable` when the disk did not give them. */
export type Finding = 'right' | 'wrong' | 'unreadable';

/** What was found out about one state of a blob's file; it says nothing about any other state. */
export interface VerificationResult {
  /** As {@link stateOf} has it. */
  readonly state: string;
  readonly finding: Finding;
  /** Milliseconds since 1970. */
  readonly checkedAt: number;
}

/** Most blobs whose verdicts are kept, at about 250 bytes each; who was judged longest ago is judged again. */
export const MAX_VERDICTS = 200_000;

/** Names the state of an open blob's file; of bytes that come through containerd there is only their number. */
export function stateOf({ file, size }: Pick<OpenBlob, 'file' | 'size'>): string {
  if (file === undefined) return `-:${size}:-:-`;
  const { ino, size: length, mtimeNs, ctimeNs } = file.state;
  return `${ino}:${length}:${mtimeNs}:${ctimeNs}`;
}

/** The latest verdict on each blob that had to be read to be known. Bounded by {@link MAX_VERDICTS}. */
export class VerificationResults {
  readonly #verdicts = new Map<Digest, VerificationResult>();
  #revision = 0;

  /** Changes whenever a verdict does. */
  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#verdicts.size;
  }

  get(digest: Digest): VerificationResult | undefined {
    return this.#verdicts.get(digest);
  }

  set(digest: Digest, verdict: VerificationResult): void {
    this.#verdicts.delete(digest);
    this.#verdicts.set(digest, verdict);
    this.#revision += 1;
    if (this.#verdicts.size <= MAX_VERDICTS) return;
    const [oldest] = this.#verdicts.keys();
    if (oldest !== undefined) this.#verdicts.delete(oldest);
  }

  /** Forgets blobs that the node does not hold any more. */
  retain(held: { has(digest: Digest): boolean }): void {
    for (const digest of this.#verdicts.keys()) {
      if (!held.has(digest)) {
        this.#verdicts.delete(digest);
        this.#revision += 1;
      }
    }
  }

  /** In the order in which they were given. */
  entries(): IterableIterator<[Digest, VerificationResult]> {
    return this.#verdicts.entries();
  }
}
