import type { IncomingHttpHeaders } from 'node:http';

import { parseRange } from '../oci/byte-range.ts';
import { parseDigest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import {
  canonicalRegistry,
  isRegistry,
  isRepository,
  isTag,
  looksLikeRegistry,
} from '../oci/reference.ts';
import type { ContentRequest } from '../oci/content-request.ts';

/** Where a request goes: the version check, or content. */
export type RequestTarget =
  | { readonly kind: 'version-check' }
  | { readonly kind: 'content'; readonly request: ContentRequest };

const CONTENT_PATH = /^\/v2\/(.+)\/(manifests|blobs)\/([^/]+)$/;

/**
 * Parses a request of the OCI distribution API into what is asked for.
 *
 * The registry is named by the query parameter `ns`, which containerd adds for mirrors, by the header
 * `OCI-Namespace`, or by the first component of the path (`/v2/docker.io/library/alpine/...`), for clients
 * that can do neither.
 *
 * @throws OciError with the status that the client is to see
 */
export function parseTarget(
  method: string | undefined,
  url: string | undefined,
  headers: IncomingHttpHeaders,
): RequestTarget {
  if (method !== 'GET' && method !== 'HEAD') {
    throw new OciError('UNSUPPORTED', 'this is a read-only mirror: only GET and HEAD');
  }
  const { path, query } = splitUrl(url ?? '');
  if (path === '/v2/' || path === '/v2') return { kind: 'version-check' };

  const match = CONTENT_PATH.exec(path);
  if (match === null) {
    throw new OciError('NAME_UNKNOWN', 'only /v2/, manifests and blobs are served');
  }
  const [, rawName = '', plural, rawReference = ''] = match;
  const named = nameOf(decode(rawName), namespaceOf(query, headers));
  const reference = decode(rawReference);
  const range = method === 'GET' ? parseRange(headers.range) : undefined;
  const kind = plural === 'manifests' ? 'manifest' : 'blob';
  const request = { kind, method, ...named, ...(range === undefined ? {} : { range }) } as const;

  // Only a digest has a colon, and blobs have no tags.
  if (kind === 'blob' || reference.includes(':')) {
    const digest = parseDigest(reference);
    if (digest === undefined) throw new OciError('DIGEST_INVALID', 'not a sha256 or sha512 digest');
    return { kind: 'content', request: { ...request, digest } };
  }
  if (!isTag(reference)) throw new OciError('TAG_INVALID', 'not a well-formed tag');
  if (request.registry === '') {
    throw new OciError('NAME_INVALID', 'a tag needs its registry: add ?ns=<registry>');
  }
  return { kind: 'content', request: { ...request, tag: reference } };
}

function splitUrl(url: string): { path: string; query: URLSearchParams } {
  let target = url;
  if (!url.startsWith('/')) {
    // The absolute form of RFC 9112, section 3.2.2; its authority means nothing to a mirror.
    const authority = /^https?:\/\/[^/?#]*/i.exec(url);
    if (authority === null) throw new OciError('NAME_INVALID', 'not a path');
    target = url.slice(authority[0].length);
  }
  const question = target.indexOf('?');
  return question < 0
    ? { path: target, query: new URLSearchParams() }
    : {
        path: target.slice(0, question),
        query: new URLSearchParams(target.slice(question + 1)),
      };
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

function nameOf(name: string, namespace: string): { registry: string; repository: string } {
  let registry = namespace;
  let repository = name;
  if (registry === '') {
    const slash = name.indexOf('/');
    const first = slash < 0 ? '' : name.slice(0, slash);
    if (looksLikeRegistry(first) && isRegistry(first)) {
      registry = canonicalRegistry(first);
      repository = name.slice(slash + 1);
    }
  }
  if (!isRepository(repository)) throw new OciError('NAME_INVALID', 'not a well-formed repository');
  return { registry, repository };
}
