import type { Content, ContentSource } from '../../content/content-source.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { OciError } from '../../oci/errors.ts';
import type { Downloads } from '../downloads/downloads.ts';

/** What a {@link LeaseSource} uses. */
export interface LeaseSourceComponents {
  readonly downloads: Pick<Downloads, 'takeLease'>;
}

/**
 * Sends the client upstream at once when its body has just ended for that: it asks again for the rest, and neither peers nor
 * the arbiter need to be asked once more. To be asked before peers.
 */
export class LeaseSource implements ContentSource {
  readonly #downloads: LeaseSourceComponents['downloads'];

  constructor({ downloads }: LeaseSourceComponents) {
    this.#downloads = downloads;
  }

  /** @throws OciError 404, at which the client goes to the registry */
  fetch({ digest, kind }: ContentRequest): Promise<Content | undefined> {
    if (digest === undefined || !this.#downloads.takeLease(digest))
      return Promise.resolve(undefined);
    const code = kind === 'manifest' ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN';
    throw new OciError(code, 'this node fetches it from the registry for all');
  }
}
