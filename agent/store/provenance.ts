import type { Digest } from '../oci/digest.ts';

/** A repository of a registry, whose name is in canonical form. */
export interface RepositoryName {
  readonly registry: string;
  readonly repository: string;
}

/**
 * Where the manifest of an image is from.
 *
 * - `registry`: it was pulled under the name of this repository, or the store does not hold it.
 * - `import`: it was imported, or made on this node.
 * - `marked`: as `import`, and the store keeps that, also when the image is pulled later.
 */
export type Origin = 'registry' | 'import' | 'marked';

/** Tells images that were pulled from images that were imported. */
export interface Provenance {
  /** @throws StoreUnavailableError; the reason of `signal` */
  origin(digest: Digest, name: RepositoryName, signal?: AbortSignal): Promise<Origin>;
  /**
   * Has the store keep that the manifest was imported under this name.
   *
   * @throws StoreUnavailableError; the reason of `signal`
   */
  mark(digest: Digest, name: RepositoryName, signal?: AbortSignal): Promise<void>;
}
