import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import type { ContentRequest } from '../../oci/content-request.ts';
import { sha256 } from '../../testing/image.ts';
import { ChunkSizes, type ChunkPlan } from './chunk-sizes.ts';

const CHUNK = 1_000_000;
const digest = sha256(Buffer.from('a blob'));
const never = new AbortController().signal;

function openAt(start: number, of = digest): ContentRequest {
  return {
    kind: 'blob',
    method: 'GET',
    registry: '',
    repository: 'team/app',
    digest: of,
    range: { kind: 'from', start },
  };
}

/** The range that a peer is asked for first. */
function firstRange(plan: ChunkPlan, request: ContentRequest): unknown {
  return plan.firstRequest(request).range;
}

describe('ChunkSizes', () => {
  it('predicts nothing for the first request for a blob', () => {
    const request = openAt(0);
    assert.equal(new ChunkSizes().begin(request).firstRequest(request), request);
  });

  it('predicts a chunk of the smallest distance between two requests', () => {
    const sizes = new ChunkSizes();
    for (const start of [0, 5 * CHUNK, 2 * CHUNK]) sizes.begin(openAt(start));
    const request = openAt(3 * CHUNK);
    assert.deepEqual(firstRange(sizes.begin(request), request), {
      kind: 'between',
      start: 3 * CHUNK,
      end: 4 * CHUNK - 1,
    });
  });

  it('ignores a retry from nearly the same offset', () => {
    const sizes = new ChunkSizes();
    for (const start of [0, 1_000, 1_000 + CHUNK]) sizes.begin(openAt(start));
    const request = openAt(3 * CHUNK);
    const range = firstRange(sizes.begin(request), request) as { start: number; end: number };
    assert.equal(range.end - range.start + 1, CHUNK);
  });

  it('predicts nothing for a request that names its end, or for another blob', () => {
    const sizes = new ChunkSizes();
    for (const start of [0, CHUNK]) sizes.begin(openAt(start));
    const closed: ContentRequest = {
      ...openAt(0),
      range: { kind: 'between', start: 0, end: 5 * CHUNK },
    };
    assert.equal(sizes.begin(closed).firstRequest(closed), closed);
    const other = openAt(CHUNK, sha256(Buffer.from('another blob')));
    assert.equal(sizes.begin(other).firstRequest(other), other);
  });

  it('forgets the blob with the oldest request beyond 256 blobs', () => {
    const sizes = new ChunkSizes();
    sizes.begin(openAt(0));
    for (let index = 0; index < 256; index += 1) {
      sizes.begin(openAt(0, sha256(Buffer.from(`blob ${index}`))));
    }
    const request = openAt(CHUNK);
    assert.equal(sizes.begin(request).firstRequest(request), request);
  });

  it('knows a later chunk, which must not be refused, from the first one', () => {
    const sizes = new ChunkSizes();
    assert.equal(sizes.begin(openAt(CHUNK)).isLater, false, 'it may be the rest of a blob');
    assert.equal(sizes.begin(openAt(0)).isLater, false);
    assert.equal(sizes.begin(openAt(2 * CHUNK)).isLater, true);
  });
});

describe('ChunkPlan', () => {
  it('requests all of the rest after two predictions that were wrong', async (t) => {
    const sizes = new ChunkSizes();
    sizes.begin(openAt(0));
    const plan = sizes.begin(openAt(CHUNK));
    const rest = { start: 2 * CHUNK, end: 9 * CHUNK };
    const predicted = { kind: 'between', start: 2 * CHUNK, end: 3 * CHUNK - 1 };
    assert.deepEqual(plan.nextRange(rest), predicted);
    await plan.rangeEnded(never);
    assert.deepEqual(plan.nextRange(rest), predicted);
    await plan.rangeEnded(never);
    assert.deepEqual(plan.nextRange(rest), { kind: 'between', ...rest });
    t.diagnostic('each wait lets the client close its request');
  });

  it('never requests bytes beyond the end of the blob, or none', () => {
    const offsets = fc.array(fc.nat(50 * CHUNK), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(offsets, fc.nat(50 * CHUNK), fc.nat(5 * CHUNK), (starts, start, length) => {
        const sizes = new ChunkSizes();
        for (const offset of starts) sizes.begin(openAt(offset));
        const end = start + length;
        const next = sizes.begin(openAt(start)).nextRange({ start, end });
        assert.ok(next.kind === 'between' && next.start === start);
        assert.ok(next.end >= start && next.end <= end);
      }),
    );
  });
});
