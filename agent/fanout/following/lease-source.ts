import type { Content, ContentSource } from '../../content/content-source.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { OciError } from '../../oci/errors.ts';
import type { Downloads } from '../downloads/downloads.ts';
import type { KnownHolders } from './known-holders.ts';

/** What a {@link LeaseSource} uses. */
export interface LeaseSourceComponents {
  readonly downloads: Pick<Downloads, 'takeLease' | 'takes'>;
  readonly holders: Pick<KnownHolders, 'isThere'>;
}

/**
 * Sends the client upstream at once when its body has just ended for that: it asks again for the rest, and neither peers nor
 * the arbiter need to be asked once more. But a node that holds the content gives the rest first: the one at the head of the line
 * may have taken it from there, and an air gap has no registry. To be asked before peers.
 */
export class LeaseSource implements ContentSource {
  readonly #components: LeaseSourceComponents;

  constructor(components: LeaseSourceComponents) {
    this.#components = components;
  }

  /** @throws OciError 404, at which the client goes to the registry */
  async fetch({ digest, kind }: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    const { downloads, holders } = this.#components;
    if (digest === undefined || !downloads.takeLease(digest)) return undefined;
    if (await holders.isThere(digest, signal)) {
      downloads.takes(digest);
      return undefined;
    }
    const code = kind === 'manifest' ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN';
    throw new OciError(code, 'this node fetches it from the registry for all');
  }
}
