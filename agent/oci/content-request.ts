import { resolveRange, type ByteRange, type RangeRequest } from './byte-range.ts';
import type { Descriptor } from './descriptor.ts';
import type { Digest } from './digest.ts';
import { tagName } from './reference.ts';

/** A request for content, parsed and checked. */
export interface ContentRequest {
  readonly kind: 'manifest' | 'blob';
  readonly method: 'GET' | 'HEAD';
  /** Host of the registry as in image names. Empty when the client did not name it; there is a digest then. */
  readonly registry: string;
  readonly repository: string;
  /** Either a tag or a digest is there. Blobs have no tags. */
  readonly tag?: string;
  readonly digest?: Digest;
  /** Only a GET has one. */
  readonly range?: RangeRequest;
}

/** The same request for all of the content. */
export function wholeOf(request: ContentRequest): ContentRequest {
  const { range, ...whole } = request;
  return range === undefined ? request : whole;
}

/** The same request by digest, instead of by tag. */
export function pinned(request: ContentRequest, digest: Digest): ContentRequest {
  const { tag, ...named } = request;
  return tag === undefined && request.digest === digest ? request : { ...named, digest };
}

/** The bytes that the request names of content of this size; `{start: 0, end: -1}` for none. */
export function rangeOf({ range }: ContentRequest, { size }: Pick<Descriptor, 'size'>): ByteRange {
  return resolveRange(range ?? { kind: 'from', start: 0 }, size) ?? { start: 0, end: -1 };
}

/** The key of the content in the DHT: the digest, or the tag's full name. */
export function contentKey({ registry, repository, tag, digest }: ContentRequest): string {
  return digest ?? tagName(registry, repository, tag ?? '');
}

/**
 * Path and query under which any mirror serves the content.
 *
 * @see OCI distribution specification, "Pulling manifests" and "Pulling blobs". The query parameter `ns` is containerd's.
 */
export function contentPath(request: ContentRequest): string {
  const { kind, registry, repository, tag, digest } = request;
  const query = registry === '' ? '' : `?ns=${encodeURIComponent(registry)}`;
  return `/v2/${repository}/${kind}s/${digest ?? tag ?? ''}${query}`;
}
