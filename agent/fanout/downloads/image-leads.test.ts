import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ContentRequest } from '../../oci/content-request.ts';
import { digestOf } from '../../testing/arbiter-fixture.ts';
import type { Decision } from '../question.ts';
import { ImageLeads } from './image-leads.ts';

const FETCH: Decision = { kind: 'fetch', renewMs: 250 };
const FOLLOW: Decision = { kind: 'follow', renewMs: 250, parent: { peerId: 'a', origins: [] } };

function request(kind: ContentRequest['kind'], repository = 'team/app'): ContentRequest {
  return { kind, method: 'GET', registry: 'registry.example', repository, digest: digestOf(0) };
}

describe('ImageLeads', () => {
  it('leave the blobs of an image to the node that has fetched its manifest, for a minute', () => {
    let now = 0;
    const leads = new ImageLeads(() => now);
    assert.equal(leads.isLeft(request('blob')), false);
    leads.answered(request('manifest'), FOLLOW);
    assert.equal(leads.isLeft(request('blob')), true);
    assert.equal(leads.isLeft(request('blob', 'team/other')), false);
    assert.equal(leads.isLeft(request('manifest')), false);
    now = 60_000;
    assert.equal(leads.isLeft(request('blob')), false);
  });

  it('leave none of an image whose manifest this node has fetched; blobs say nothing', () => {
    const leads = new ImageLeads();
    leads.answered(request('manifest'), { kind: 'held', holders: [] });
    leads.answered(request('blob'), FETCH);
    assert.equal(leads.isLeft(request('blob')), true);
    leads.answered(request('manifest'), FETCH);
    assert.equal(leads.isLeft(request('blob')), false);
  });

  it('know which images nodes have begun with, for a minute', () => {
    let now = 0;
    const leads = new ImageLeads(() => now);
    leads.answered(request('manifest'), { kind: 'alone', forMs: 0 });
    assert.equal(leads.isBegun(request('blob')), false);
    leads.answered(request('manifest'), FETCH);
    leads.isLed(request('manifest', 'team/other'));
    for (const repository of ['team/app', 'team/other']) {
      assert.equal(leads.isBegun(request('blob', repository)), true);
      assert.equal(leads.isBegun(request('manifest', repository)), false);
    }
    now = 60_000;
    assert.equal(leads.isBegun(request('blob')), false);
  });
});
