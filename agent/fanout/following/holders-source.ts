import type { Content, ContentSource } from '../../content/content-source.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import type { Downloads } from '../downloads/downloads.ts';
import type { FanOutSource } from './fan-out-source.ts';

/** What a {@link HoldersSource} uses. */
export interface HoldersSourceComponents {
  /** The peers that hold content. */
  readonly holders: ContentSource;
  /** The same for content that others follow from here. */
  readonly taken: ContentSource;
  readonly downloads: Pick<Downloads, 'isLed' | 'isTaking'>;
  /** Content that other nodes receive at this moment. */
  readonly fanOut: Pick<FanOutSource, 'fetchBegun'>;
}

/**
 * The peers that hold content. A manifest that one of them holds shows that another node has begun with the image: this one
 * leaves its layers to that node, as if it had followed it in the manifest. Of an image that nodes have begun with, those that
 * receive a blob come before those that hold it.
 */
export class HoldersSource implements ContentSource {
  readonly #components: HoldersSourceComponents;

  constructor(components: HoldersSourceComponents) {
    this.#components = components;
  }

  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    const { holders, taken, downloads, fanOut } = this.#components;
    const followed = await fanOut.fetchBegun(request, signal);
    if (followed !== undefined) return followed;
    const { digest } = request;
    if (digest !== undefined && downloads.isTaking(digest))
      return await taken.fetch(request, signal);
    const content = await holders.fetch(request, signal);
    if (content !== undefined && request.kind === 'manifest') downloads.isLed(request);
    return content;
  }

  reasonFor(request: ContentRequest): string | undefined {
    const { holders, taken } = this.#components;
    return taken.reasonFor?.(request) ?? holders.reasonFor?.(request);
  }
}
