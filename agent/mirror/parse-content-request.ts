import type { IncomingHttpHeaders } from 'node:http';

import { parseRange } from '../oci/byte-range.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import { parseDigest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import {
  canonicalRegistry,
  isRegistry,
  isRepository,
  isTag,
  looksLikeRegistry,
} from '../oci/reference.ts';

/** A request for content as it came, its path taken apart. */
export interface RawContentRequest extends Pick<ContentRequest, 'kind' | 'method'> {
  /** What stands for the repository in the path, percent-encoded; the registry may be its first component. */
  readonly name: string;
  /** A tag or a digest, percent-encoded. */
  readonly reference: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** The registry that is meant by a client which names none. Default: none. */
  readonly unnamed?: string | undefined;
}

/**
 * Parses a request for content.
 *
 * The registry is named by the query parameter `ns`, which containerd adds for mirrors, by the header `OCI-Namespace`,
 * or by the first component of the path (`/v2/docker.io/library/alpine/...`), for clients that can do neither. Docker names
 * none: its mirrors are for one registry.
 *
 * @throws OciError for what is not well-formed
 */
export function parseContentRequest(raw: RawContentRequest): ContentRequest {
  const { kind, method, query, headers } = raw;
  const named = nameOf(decode(raw.name), namespaceOf(query, headers), raw.unnamed);
  const reference = decode(raw.reference);
  const range = method === 'GET' ? parseRange(headers.range) : undefined;
  const request = { kind, method, ...named, ...(range === undefined ? {} : { range }) };

  // Only a digest has a colon, and blobs have no tags.
  if (kind === 'blob' || reference.includes(':')) {
    const digest = parseDigest(reference);
    if (digest === undefined) throw new OciError('DIGEST_INVALID', 'not a sha256 or sha512 digest');
    return { ...request, digest };
  }
  // The specification has no error for this: there can be no manifest of that name, whatever the registry.
  if (!isTag(reference)) throw new OciError('MANIFEST_UNKNOWN', 'not a well-formed tag');
  if (request.registry === '') {
    throw new OciError('NAME_INVALID', 'a tag needs its registry: add ?ns=<registry>');
  }
  return { ...request, tag: reference };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new OciError('NAME_INVALID', 'broken percent-encoding');
  }
}

function namespaceOf(query: URLSearchParams, headers: IncomingHttpHeaders): string {
  const header = headers['oci-namespace'];
  const namespace = query.get('ns') ?? (typeof header === 'string' ? header : '');
  if (namespace === '') return '';
  if (!isRegistry(namespace)) throw new OciError('NAME_INVALID', 'ns is not a registry host');
  return canonicalRegistry(namespace);
}

function nameOf(
  name: string,
  namespace: string,
  unnamed = '',
): { registry: string; repository: string } {
  let registry = namespace;
  let repository = name;
  if (registry === '') {
    const slash = name.indexOf('/');
    const first = slash < 0 ? '' : name.slice(0, slash);
    if (looksLikeRegistry(first) && isRegistry(first)) {
      registry = canonicalRegistry(first);
      repository = name.slice(slash + 1);
    } else {
      registry = unnamed;
    }
  }
  if (!isRepository(repository)) throw new OciError('NAME_INVALID', 'not a well-formed repository');
  return { registry, repository };
}
