import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Decision } from '../question.ts';
import { RequestsInHand } from './requests-in-hand.ts';

const digestOf = (at: number): Digest => `sha256:${String(at).padStart(64, '0')}` as Digest;
const requestFor = (digest: Digest, repository = 'a'): ContentRequest => ({
  kind: 'blob',
  method: 'GET',
  registry: 'registry.example',
  repository,
  digest,
});
const FETCH: Decision = { kind: 'fetch', renewMs: 250 };
const DIGEST = digestOf(1);

describe('RequestsInHand', () => {
  it('finds a request by its digest until the last one for it ends', () => {
    const requests = new RequestsInHand();
    assert.equal(requests.of(DIGEST), undefined);
    const one = requests.begin(requestFor(DIGEST, 'one'));
    const two = requests.begin(requestFor(DIGEST, 'two'));
    one[Symbol.dispose]();
    one[Symbol.dispose]();
    assert.equal(requests.of(DIGEST)?.digest, DIGEST);
    two[Symbol.dispose]();
    assert.equal(requests.of(DIGEST), undefined);
  });

  it('say what the arbiter has answered last', () => {
    const requests = new RequestsInHand();
    using one = requests.begin(requestFor(DIGEST));
    using other = requests.begin(requestFor(digestOf(2)));
    assert.equal(one.decision, undefined);
    requests.answered(DIGEST, FETCH);
    requests.answered(digestOf(3), FETCH);
    assert.deepEqual([one.decision, other.decision], [FETCH, undefined]);
  });

  it('say to each request for a digest what was answered since it began', () => {
    const requests = new RequestsInHand();
    using one = requests.begin(requestFor(DIGEST));
    requests.answered(DIGEST, FETCH);
    using later = requests.begin(requestFor(DIGEST));
    assert.deepEqual([one.decision, later.decision], [FETCH, undefined]);
    assert.equal(requests.decisionOf(DIGEST), FETCH);
    const alone = { kind: 'alone', forMs: 0 } as const;
    requests.answered(DIGEST, alone);
    assert.deepEqual([one.decision, later.decision], [alone, alone]);
  });

  it('have none of a tag, and no more than the bound', () => {
    const requests = new RequestsInHand();
    const request = { kind: 'manifest', method: 'GET', registry: '', repository: 'a' } as const;
    using tag = requests.begin({ ...request, tag: '1.0' });
    assert.equal(tag.decision, undefined);
    const all = Array.from({ length: 1001 }, (_, at) => requests.begin(requestFor(digestOf(at))));
    assert.ok(requests.of(digestOf(999)));
    assert.equal(requests.of(digestOf(1000)), undefined);
    for (const each of all) each[Symbol.dispose]();
    assert.equal(requests.of(digestOf(999)), undefined);
  });

  it('ask for the most that one of them is to have', () => {
    const requests = new RequestsInHand();
    assert.equal(requests.aimOf(DIGEST), 'fetch');
    using asks = requests.begin(requestFor(DIGEST), 'follow');
    assert.equal(requests.aimOf(DIGEST), 'follow');
    const takes = requests.begin(requestFor(DIGEST), 'take');
    assert.equal(requests.aimOf(DIGEST), 'take');
    requests.begin(requestFor(DIGEST))[Symbol.dispose]();
    takes[Symbol.dispose]();
    assert.equal(requests.aimOf(DIGEST), 'follow');
    asks.aimAt('fetch');
    assert.equal(requests.aimOf(DIGEST), 'fetch');
  });
});
