import type { Digest } from '../oci/digest.ts';
import type { OpenBlob } from '../store/content-store.ts';
import { BoundedMap } from '../timing/bounded-map.ts';

/** How a blob's bytes compare with its digest; `unreadable` when reading its file fails. */
export type Finding = 'right' | 'wrong' | 'unreadable';

/** The result of verifying one state of a blob's file. It does not hold for any other state. */
export interface VerificationResult {
  /** As {@link stateOf} gives it. */
  readonly state: string;
  readonly finding: Finding;
  /** Milliseconds since 1970. */
  readonly checkedAt: number;
}

/** Results kept, at about 250 bytes each. The blob that was verified longest ago is verified again. */
export const MAX_RESULTS = 200_000;

/** Names the state of an open blob's file. For bytes that come through containerd only the size is known. */
export function stateOf({ file, size }: Pick<OpenBlob, 'file' | 'size'>): string {
  if (file === undefined) return `-:${size}:-:-`;
  const { ino, size: length, mtimeNs, ctimeNs } = file.state;
  return `${ino}:${length}:${mtimeNs}:${ctimeNs}`;
}

/** The latest result of each blob that was read to be verified. At most {@link MAX_RESULTS}. */
export class VerificationResults {
  readonly #results = new BoundedMap<Digest, VerificationResult>(MAX_RESULTS);
  #revision = 0;

  /** Changes whenever a result does. */
  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#results.size;
  }

  get(digest: Digest): VerificationResult | undefined {
    return this.#results.get(digest);
  }

  set(digest: Digest, result: VerificationResult): void {
    this.#results.set(digest, result);
    this.#revision += 1;
  }

  /** Removes the results of blobs that the node no longer holds. */
  retain(held: { has(digest: Digest): boolean }): void {
    for (const [digest] of this.#results.entries()) {
      if (!held.has(digest)) {
        this.#results.delete(digest);
        this.#revision += 1;
      }
    }
  }

  /** The results, the oldest first. */
  entries(): IterableIterator<[Digest, VerificationResult]> {
    return this.#results.entries();
  }
}
