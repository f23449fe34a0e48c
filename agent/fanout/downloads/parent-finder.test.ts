import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import type { FoundParents } from './found-parents.ts';
import { ParentFinder } from './parent-finder.ts';

const digest = `sha256:${'0'.repeat(64)}` as Digest;
const REQUEST: ContentRequest = {
  kind: 'blob',
  method: 'GET',
  registry: '',
  repository: 'a',
  digest,
};
const PROVIDERS = ['a', 'b'].map((peerId) => ({ peerId, origins: ['http://10.0.0.1:5000'] }));

const UPSTREAM = 'sha256:upstream';

function create() {
  const asked: ContentRequest[] = [];
  const failures: (readonly [string, string])[] = [];
  const trickles: string[] = [];
  const begun: string[] = [];
  const finder = new ParentFinder({
    inHand: (key) => (key === digest ? REQUEST : undefined),
    find: (request): Promise<FoundParents> => {
      asked.push(request);
      return Promise.resolve({ decision: { kind: 'held', holders: [] }, providers: PROVIDERS });
    },
    failed: (...failure) => failures.push(failure),
    trickled: (key) => trickles.push(key),
    begins: (key) => begun.push(key),
    goesUpstream: (key) => key === UPSTREAM,
  });
  return { finder, asked, failures, trickles, begun };
}

describe('ParentFinder', () => {
  it('says when the first bytes have come', () => {
    const { finder, begun } = create();
    finder.begins(digest);
    assert.deepEqual(begun, [digest]);
  });

  it('says when this node is to go upstream', () => {
    const { finder } = create();
    assert.deepEqual([finder.isOver(UPSTREAM), finder.isOver(digest)], [true, false]);
  });

  it('asks once a look-up, and names the providers of the answer', async () => {
    const { finder, asked } = create();
    const all = [];
    for await (const provider of finder.lookup(digest)) all.push(provider);
    assert.deepEqual(all, PROVIDERS);
    assert.deepEqual(asked, [REQUEST]);
  });

  it('asks nothing without a request in hand, or when the signal is aborted', async () => {
    const { finder, asked } = create();
    for await (const provider of finder.lookup('docker.io/library/alpine:3'))
      assert.fail(provider.peerId);
    for await (const provider of finder.lookup(digest, AbortSignal.abort())) {
      assert.fail(provider.peerId);
    }
    assert.deepEqual(asked, []);
  });

  it('says which peers have failed', () => {
    const { finder, failures } = create();
    finder.forget(digest, 'a');
    finder.failed(digest, 'b');
    assert.deepEqual(failures, [
      [digest, 'a'],
      [digest, 'b'],
    ]);
  });

  it('says which content has come too slowly', () => {
    const { finder, trickles } = create();
    finder.trickled(digest);
    assert.deepEqual(trickles, [digest]);
  });
});
