import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe } from 'node:test';

import type { IncomingHttpHeaders } from 'undici/types/header.js';

import { rangeLength } from '../../oci/byte-range.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { parseDigest } from '../../oci/digest.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { fuzz } from '../../testing/fuzz/fuzz.ts';
import { parseResponseHead, type ResponseHead } from '../client/direct/response-head.ts';
import { PeerError } from '../client/peer-error.ts';
import { formatLoad, MAX_ALTERNATIVES, parseReport } from '../client/peer-report.ts';
import { checkHead } from '../client/peer-response.ts';

const CORPORA = join(import.meta.dirname, 'corpus');
const DIGEST = parseDigest(`sha256:${'0123456789abcdef'.repeat(4)}`);
const PEER_ID = '12D3KooWQmYKYNqzRVPNnFQ3Q3XCQtWcG6X5yQ1jAeLC8VmTTqN7';
const BASE = { method: 'GET', registry: 'registry.example', repository: 'team/app' } as const;
const BLOB = { ...BASE, kind: 'blob', ...(DIGEST && { digest: DIGEST }) } satisfies ContentRequest;
const TAG = { ...BASE, kind: 'manifest', tag: '1' } satisfies ContentRequest;
const HEADS = [
  `HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nContent-Type: ${MEDIA_TYPE.ociManifest}\r\nDocker-Content-Digest: ${DIGEST ?? ''}`,
  'HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nContent-Range: bytes 5-14/1000\r\nConnection: close',
  `HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nX-Peerglass-Load: 3/3\r\nX-Peerglass-Zone: a-1\r\nX-Peerglass-Alternatives: ${PEER_ID}, ${PEER_ID}`,
  'HTTP/1.1 416 Range\r\nContent-Range: bytes */3\r\nContent-Length: 0',
  'HTTP/1.0 404 Not Found\r\nContent-Length: 0\r\nContent-Length: 0',
];
const WORDS = [
  '\r\n',
  'Content-Length: 0\r\n',
  'Content-Length:',
  'Transfer-Encoding: chunked\r\n',
  'Content-Range: bytes 5-14/15',
  'Content-Encoding: gzip\r\n',
  '__proto__: a\r\n',
  '\r\n folded',
  '999999999999999',
];

/** The field lines of a head, as `parseResponseHead` takes them. */
function linesOf({ statusCode, headers }: ResponseHead): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((each) => `${name}: ${each}`),
  );
  return [`HTTP/1.1 ${statusCode}`, ...lines].join('\r\n');
}

describe('what peers answer', () => {
  fuzz(CORPORA, {
    name: 'response heads',
    seeds: HEADS,
    words: WORDS,
    errors: [PeerError],
    parse: (input) => parseResponseHead(input.toString('latin1')),
    check(head) {
      const { length, statusCode } = head;
      assert.ok(statusCode >= 100 && statusCode < 600);
      assert.ok(length === undefined || Number.isSafeInteger(length));
      const again = parseResponseHead(linesOf(head));
      assert.deepEqual({ ...again, keepAlive: head.keepAlive }, head);
    },
  });

  for (const [what, request, asked] of [
    ['a blob', BLOB, undefined],
    ['a range of a blob', BLOB, { kind: 'between', start: 5, end: 14 }],
    ['the end of a blob', BLOB, { kind: 'last', length: 10 }],
    ['a tag', TAG, undefined],
  ] as const) {
    fuzz(CORPORA, {
      name: `answers for ${what}`,
      seeds: HEADS,
      words: WORDS,
      errors: [PeerError],
      parse(input) {
        const { statusCode, headers } = parseResponseHead(input.toString('latin1'));
        return { ...checkHead(request, asked, statusCode, headers), headers };
      },
      check({ descriptor, range, headers }) {
        const { size, digest } = descriptor;
        assert.equal(parseDigest(digest), digest);
        if ('digest' in request) assert.equal(digest, request.digest);
        assert.ok(range.start >= 0 && range.end < Math.max(1, size));
        assert.equal(rangeLength(range), Number(headers['content-length']));
        // Empty content has no other range.
        if (asked?.kind === 'between' && size > 0) assert.equal(range.start, asked.start);
      },
    });
  }

  fuzz(CORPORA, {
    name: 'reports',
    seeds: ['3/512', 'zone-a', `${PEER_ID},${PEER_ID}`, '3600'],
    words: [',', '/', PEER_ID],
    errors: [],
    parse(input) {
      const text = input.toString('latin1');
      const names = ['load', 'zone', 'alternatives'].map((name) => `x-peerglass-${name}`);
      const headers: IncomingHttpHeaders = Object.fromEntries(
        [...names, 'retry-after'].map((name) => [name, text]),
      );
      return parseReport(headers);
    },
    check({ load, zone, alternatives, retryLater }, input) {
      assert.ok(alternatives.length <= MAX_ALTERNATIVES);
      assert.ok(new Set(alternatives).size === alternatives.length);
      assert.ok(zone === undefined || zone.length <= 63);
      assert.ok(!retryLater || Number(input.toString('latin1')) <= 3600);
      if (load === undefined) return;
      assert.deepEqual(parseReport({ 'x-peerglass-load': formatLoad(load) }).load, load);
    },
  });
});
