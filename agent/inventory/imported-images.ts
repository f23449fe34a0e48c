import type { Logger } from 'pino';

import type { Digest } from '../oci/digest.ts';
import { pinnedName } from '../oci/reference.ts';
import type { SharePolicy } from '../oci/share-policy.ts';
import type { Provenance, RepositoryName } from '../store/provenance.ts';
import { ExpiringSet } from '../timing/expiring-set.ts';

/** Names that peers have resolved, of which the image is not pulled yet. */
const MAX_RESOLVED = 1_000;
/** The longest time of a pull, in milliseconds. */
const PULL_MS = 6 * 3_600_000;

export interface ImportedImagesComponents {
  readonly policy: Pick<SharePolicy, 'dependsOnOrigin'>;
  /** Absent for a store whose images are from no registry. */
  readonly provenance?: Provenance | undefined;
  readonly logger: Logger;
}

/**
 * Which images of this node were imported into the cluster: here, or on a node by which this node resolved the name.
 * The latter go on naming the image when the node with the import is gone.
 *
 * Kubernetes makes the same distinction: by default the kubelet checks no credentials for images that it did not pull.
 *
 * @see KubeletConfiguration, `imagePullCredentialsVerificationPolicy: NeverVerifyPreloadedImages`
 */
export class ImportedImages {
  readonly #components: ImportedImagesComponents;
  readonly #resolved = new ExpiringSet(MAX_RESOLVED);

  constructor(components: ImportedImagesComponents) {
    this.#components = components;
  }

  /** Call when a peer has resolved the name of an imported image for the client of this node. */
  resolved({ registry, repository }: RepositoryName, digest: Digest): void {
    this.#resolved.add(pinnedName(registry, repository, digest), PULL_MS);
  }

  /**
   * Whether an image of this node with this manifest was imported. False, without a question to the store, for a
   * repository of which the policy does not depend on that.
   *
   * @throws StoreUnavailableError; the reason of `signal`
   */
  async has(
    { registry, repository }: RepositoryName,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { policy, provenance, logger } = this.#components;
    if (!policy.dependsOnOrigin(registry, repository)) return false;
    if (provenance === undefined) return true;
    const name = { registry, repository };
    const origin = await provenance.origin(digest, name, signal);
    if (origin === 'marked') return true;
    const isResolved = this.#resolved.has(pinnedName(registry, repository, digest));
    if (origin === 'registry' && !isResolved) return false;
    try {
      await provenance.mark(digest, name, signal);
    } catch (err) {
      signal.throwIfAborted();
      logger.warn(
        { err, digest },
        'an imported image cannot be marked: import it again if it is not found later',
      );
    }
    return true;
  }
}
