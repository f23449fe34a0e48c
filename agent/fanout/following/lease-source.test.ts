import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import { OciError } from '../../oci/errors.ts';
import { sha256 } from '../../testing/image.ts';
import { LeaseSource } from './lease-source.ts';

const digest = sha256(Buffer.from('content'));
const request: ContentRequest = {
  ...{ kind: 'blob', method: 'GET', registry: 'registry.example', repository: 'team/app', digest },
};

describe('LeaseSource', () => {
  it('answers 404 for what this node is to fetch, once', async () => {
    const leases = new Set([digest]);
    const source = new LeaseSource({ downloads: { takeLease: (it) => leases.delete(it) } });
    await assert.rejects(
      async () => {
        await source.fetch(request);
      },
      (error) => error instanceof OciError && error.code === 'BLOB_UNKNOWN',
    );
    const again = await source.fetch(request);
    assert.equal(again, undefined);
  });

  it('leaves tags to the other sources', async () => {
    const source = new LeaseSource({ downloads: { takeLease: () => true } });
    const { kind, method, registry, repository } = request;
    const named = { kind, method, registry, repository, tag: '1.0' };
    const content = await source.fetch(named);
    assert.equal(content, undefined);
  });
});
