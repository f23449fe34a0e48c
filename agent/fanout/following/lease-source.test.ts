import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import { OciError } from '../../oci/errors.ts';
import { sha256 } from '../../testing/image.ts';
import { LeaseSource } from './lease-source.ts';

const digest = sha256(Buffer.from('content'));
const request: ContentRequest = {
  ...{ kind: 'blob', method: 'GET', registry: 'registry.example', repository: 'team/app', digest },
};

const { signal } = new AbortController();

/** A source for a node that has a lease for the content, where some node holds it or none does. */
function start(isThere: boolean) {
  const leases = new Set([digest]);
  const taken: Digest[] = [];
  const source = new LeaseSource({
    downloads: { takeLease: (it) => leases.delete(it), takes: (it) => void taken.push(it) },
    holders: { isThere: () => Promise.resolve(isThere) },
  });
  return { source, taken };
}

describe('LeaseSource', () => {
  it('answers 404 for what this node is to fetch, once', async () => {
    const { source, taken } = start(false);
    await assert.rejects(
      source.fetch(request, signal),
      (error) => error instanceof OciError && error.code === 'BLOB_UNKNOWN',
    );
    assert.equal(await source.fetch(request, signal), undefined);
    assert.deepEqual(taken, []);
  });

  it('leaves what another node holds to that one: an air gap has no registry', async () => {
    const { source, taken } = start(true);
    assert.equal(await source.fetch(request, signal), undefined);
    assert.deepEqual(taken, [digest]);
    assert.equal(await source.fetch(request, signal), undefined);
    assert.deepEqual(taken, [digest], 'a request without a lease says nothing');
  });

  it('leaves tags to the other sources', async () => {
    const { source, taken } = start(true);
    const { kind, method, registry, repository } = request;
    const named = { kind, method, registry, repository, tag: '1.0' };
    assert.equal(await source.fetch(named, signal), undefined);
    assert.deepEqual(taken, []);
  });
});
