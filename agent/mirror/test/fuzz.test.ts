import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe } from 'node:test';

import {
  contentKey,
  contentPath,
  wholeOf,
  type ContentRequest,
} from '../../oci/content-request.ts';
import { OciError } from '../../oci/errors.ts';
import { fuzz } from '../../testing/fuzz/fuzz.ts';
import { mirrorRoutes } from '../mirror-routes.ts';
import { parseContentRequest } from '../parse-content-request.ts';

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;
const ROUTES = mirrorRoutes<'check' | 'manifest' | 'blob'>({
  versionCheck: 'check',
  manifests: 'manifest',
  blobs: 'blob',
});

/** Reads a method, a target and header fields, a line each, as the mirror does. */
function requestOf(text: string): ContentRequest | undefined {
  const [first = '', namespace, range] = text.split('\n');
  const space = first.indexOf(' ');
  const method = first.slice(0, space);
  const match = ROUTES.match(method, first.slice(space + 1));
  if (match.kind !== 'found' || match.handler === 'check') return undefined;
  const { name = '', reference = '' } = match.params;
  return parseContentRequest({
    kind: match.handler,
    method: method === 'HEAD' ? 'HEAD' : 'GET',
    name,
    reference,
    query: match.query,
    headers: {
      ...(namespace !== undefined && { 'oci-namespace': namespace }),
      ...(range !== undefined && { range }),
    },
  });
}

describe('what clients ask the mirror for', () => {
  fuzz(join(import.meta.dirname, 'corpus'), {
    name: 'requests for content',
    seeds: [
      'GET /v2/library/alpine/manifests/3.20?ns=docker.io',
      `HEAD /v2/ghcr.io/team/app/manifests/${DIGEST}`,
      `GET /v2/team/app/blobs/${DIGEST}?ns=registry.example:5000\n\nbytes=5-9`,
      `GET http://mirror:5000/v2/team/app/blobs/${DIGEST}\n[fd00::1]:5000`,
      'GET /v2/',
    ],
    words: [
      '/manifests/',
      '/blobs/',
      '?ns=',
      '&ns=',
      '%2f',
      '%2e%2e',
      '%00',
      '%',
      'sha256:',
      '/v2/',
      '..',
      'bytes=-',
    ],
    errors: [OciError],
    parse: (input) => requestOf(input.toString('latin1')),
    check(request) {
      if (request === undefined) return;
      const { method, range, digest, tag, repository } = request;
      assert.equal((digest === undefined) !== (tag === undefined), true);
      assert.ok(method === 'GET' || range === undefined);
      assert.ok(!repository.split('/').includes('..'));
      assert.ok(contentKey(request).length <= 1024);
      // What one mirror asks another for is what it was asked for.
      assert.deepEqual(requestOf(`${method} ${contentPath(request)}`), wholeOf(request));
    },
  });
});
