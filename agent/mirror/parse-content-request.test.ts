import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { OciError } from '../oci/errors.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import { mirrorRoutes } from './mirror-routes.ts';
import { parseContentRequest } from './parse-content-request.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

const routes = mirrorRoutes<ContentRequest['kind'] | undefined>({
  versionCheck: undefined,
  manifests: 'manifest',
  blobs: 'blob',
});

/** Parses the request with a URL; `undefined` for a URL that the mirror has no content under. */
function parse(
  url: string,
  headers: Record<string, string> = {},
  method: 'GET' | 'HEAD' = 'GET',
  unnamed?: string,
): ContentRequest | undefined {
  const match = routes.match(method, url);
  if (match.kind !== 'found' || match.handler === undefined) return undefined;
  const { handler: kind, params, query } = match;
  const { name = '', reference = '' } = params;
  return parseContentRequest({ kind, method, name, reference, query, headers, unnamed });
}

describe('parseContentRequest', () => {
  it('parses a tag with its registry in ns, as containerd sends it', () => {
    assert.deepEqual(parse('/v2/library/alpine/manifests/3.20?ns=docker.io'), {
      kind: 'manifest',
      method: 'GET',
      registry: 'docker.io',
      repository: 'library/alpine',
      tag: '3.20',
    });
  });

  it('parses a blob with a range, and a registry with a port', () => {
    assert.deepEqual(parse(`/v2/app/blobs/${DIGEST}?ns=127.0.0.1%3A7001`, { range: 'bytes=5-' }), {
      kind: 'blob',
      method: 'GET',
      registry: '127.0.0.1:7001',
      repository: 'app',
      digest: DIGEST,
      range: { kind: 'from', start: 5 },
    });
  });

  it('finds the registry in the header or in the path', () => {
    const expected = {
      kind: 'manifest',
      method: 'GET',
      registry: 'quay.io',
      repository: 'a/b',
      tag: 'v1',
    };
    assert.deepEqual(parse('/v2/a/b/manifests/v1', { 'oci-namespace': 'quay.io' }), expected);
    assert.deepEqual(parse('/v2/quay.io/a/b/manifests/v1'), expected);
    assert.deepEqual(parse('http://mirror:5000/v2/a/b/manifests/v1?ns=quay.io'), expected);
  });

  it('takes the registry of the options only where a request names none', () => {
    const of = (url: string): string | undefined => parse(url, {}, 'GET', 'docker.io')?.registry;
    assert.equal(of('/v2/library/nginx/manifests/1.27'), 'docker.io');
    assert.equal(of(`/v2/nginx/blobs/${DIGEST}`), 'docker.io');
    assert.equal(of('/v2/quay.io/a/b/manifests/v1'), 'quay.io');
    assert.equal(of('/v2/a/b/manifests/v1?ns=ghcr.io'), 'ghcr.io');
    assert.throws(() => parse('/v2/library/nginx/manifests/1.27'), { code: 'NAME_INVALID' });
  });

  it("replaces the host names of Docker Hub's registry by docker.io", () => {
    const request = parse('/v2/library/a/manifests/1?ns=registry-1.docker.io');
    assert.equal(request?.registry, 'docker.io');
  });

  it('accepts a digest without a registry, because the digest names the content', () => {
    assert.deepEqual(parse(`/v2/a/manifests/${DIGEST}`), {
      kind: 'manifest',
      method: 'GET',
      registry: '',
      repository: 'a',
      digest: DIGEST,
    });
  });

  it('ignores the range of a HEAD', () => {
    const request = parse(`/v2/a/blobs/${DIGEST}`, { range: 'bytes=0-1' }, 'HEAD');
    assert.ok(request !== undefined && request.range === undefined);
  });

  for (const [url, code] of [
    ['/v2/a/blobs/3.20', 'DIGEST_INVALID'],
    ['/v2/a/manifests/sha256:123', 'DIGEST_INVALID'],
    ['/v2/a/manifests/-bad?ns=x.io', 'MANIFEST_UNKNOWN'],
    ['/v2/a/manifests/.INVALID_MANIFEST_NAME', 'MANIFEST_UNKNOWN'],
    [`/v2/a/manifests/${'a'.repeat(129)}?ns=x.io`, 'MANIFEST_UNKNOWN'],
    ['/v2/a/manifests/%2Fetc?ns=x.io', 'MANIFEST_UNKNOWN'],
    ['/v2/UPPER/manifests/1?ns=x.io', 'NAME_INVALID'],
    ['/v2/a%2F..%2Fb/manifests/1?ns=x.io', 'NAME_INVALID'],
    ['/v2/a%/manifests/1?ns=x.io', 'NAME_INVALID'],
    ['/v2/a/manifests/1?ns=x.io/evil', 'NAME_INVALID'],
    ['/v2/a/manifests/1', 'NAME_INVALID'],
  ] as const) {
    it(`refuses ${url.slice(0, 40)} with ${code}`, () => {
      assert.throws(() => parse(url), { code });
    });
  }

  it('throws nothing but OciError, whatever is asked', () => {
    const segment = fc.oneof(
      fc.string(),
      fc.constantFrom('v2', 'manifests', 'blobs', '..', '%00', DIGEST, 'a', 'x.io'),
    );
    fc.assert(
      fc.property(fc.array(segment, { maxLength: 8 }), fc.string(), (segments, header) => {
        try {
          parse(`/${segments.join('/')}`, { 'oci-namespace': header, range: header });
        } catch (error) {
          assert.ok(error instanceof OciError);
          assert.ok(error.status >= 400 && error.status < 500);
        }
      }),
    );
  });
});
