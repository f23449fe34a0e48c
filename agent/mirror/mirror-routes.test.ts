import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { mirrorRoutes, refusalOf } from './mirror-routes.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;
const routes = mirrorRoutes({
  versionCheck: 'version check',
  manifests: 'manifests',
  blobs: 'blobs',
});

describe('mirrorRoutes', () => {
  it('has the version check with and without the last slash', () => {
    for (const url of ['/v2/', '/v2?ns=docker.io']) {
      const match = routes.match('HEAD', url);
      assert.equal(match.kind === 'found' && match.handler, 'version check', url);
    }
  });

  it('takes the name of a repository whose segments are called like endpoints', () => {
    const match = routes.match('GET', `/v2/a/manifests/b/blobs/${DIGEST}`);
    assert.ok(match.kind === 'found' && match.handler === 'blobs');
    assert.deepEqual({ ...match.params }, { name: 'a/manifests/b', reference: DIGEST });
  });

  for (const [method, url, code] of [
    ['POST', '/v2/', 'UNSUPPORTED'],
    ['POST', 'no path', 'UNSUPPORTED'],
    ['DELETE', `/v2/a/blobs/${DIGEST}`, 'UNSUPPORTED'],
    ['PUT', '/nowhere', 'UNSUPPORTED'],
    ['GET', '/', 'NAME_UNKNOWN'],
    ['GET', '/v2/a/tags/list', 'NAME_UNKNOWN'],
    ['GET', '/v2/a/blobs/', 'NAME_UNKNOWN'],
    ['GET', '*', 'NAME_INVALID'],
    ['GET', '//evil/v2/a/manifests/1?ns=x.io', 'NAME_UNKNOWN'],
  ] as const) {
    it(`answers ${method} ${url.slice(0, 40)} with ${code}`, () => {
      const match = routes.match(method, url);
      assert.ok(match.kind !== 'found');
      const headers = new Map<string, unknown>();
      const res = { setHeader: (name: string, value: unknown) => headers.set(name, value) };
      assert.equal(refusalOf(match, res as never).code, code);
      const allow = code === 'UNSUPPORTED' ? 'GET, HEAD' : undefined;
      assert.equal(headers.get('Allow'), allow);
    });
  }
});
