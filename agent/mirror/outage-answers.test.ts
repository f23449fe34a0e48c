import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { ContentRequest } from '../oci/content-request.ts';
import { parseDigest } from '../oci/digest.ts';
import { SharePolicy } from '../oci/share-policy.ts';
import { parseShareRule } from '../oci/share-rule.ts';
import { OutageAnswers } from './outage-answers.ts';

const digest = parseDigest(`sha256:${'7'.repeat(64)}`);
assert.ok(digest !== undefined);
const NAME = {
  kind: 'manifest',
  method: 'HEAD',
  registry: 'ghcr.io',
  repository: 'team/app',
} as const;
const REQUEST = { ...NAME, tag: '1' } as const satisfies ContentRequest;
const byDigest: ContentRequest = { ...NAME, digest };

/** What is asked in a cluster with `ghcr.io/team=authorized`, and which registries were probed for it. */
function fixture({ isUp = false, isHeld = true } = {}) {
  const probed: string[] = [];
  const answers = new OutageAnswers({
    policy: new SharePolicy({
      rules: ['ghcr.io/team=authorized', 'quay.io=none'].map(parseShareRule),
      filters: [/\/left-out/, /:dev$/],
    }),
    holds: () => isHeld,
    isLocal: (address) => address === '127.0.0.1',
    probe: {
      answers: (registry) => {
        probed.push(registry);
        return Promise.resolve(isUp);
      },
    },
  });
  const covers = (request: ContentRequest, client = '127.0.0.1') => answers.covers(request, client);
  return { covers, probed };
}

describe('OutageAnswers', () => {
  it('covers what a name means while the registry is away', async () => {
    const { covers, probed } = fixture();
    for (const method of ['HEAD', 'GET'] as const) {
      assert.equal(await covers({ ...REQUEST, method }), true);
    }
    assert.equal(await covers(byDigest), true, 'which containerd asks for a name with a digest');
    assert.deepEqual(probed, ['ghcr.io', 'ghcr.io', 'ghcr.io']);
  });

  it('covers nothing while the registry answers', async () => {
    assert.equal(await fixture({ isUp: true }).covers(REQUEST), false);
  });

  it('probes no registry for an image that this node does not hold', async () => {
    const { covers, probed } = fixture({ isHeld: false });
    assert.equal(await covers(REQUEST), false);
    assert.deepEqual(probed, []);
  });

  it('probes no registry for a client that is not on this node', async () => {
    const { covers, probed } = fixture();
    assert.equal(await covers(REQUEST, '10.0.0.7'), false);
    assert.deepEqual(probed, []);
  });

  it('probes no registry for what the policy answers or leaves out in any case', async () => {
    const { covers, probed } = fixture();
    for (const request of [
      { ...REQUEST, registry: 'docker.io' },
      { ...REQUEST, registry: 'quay.io' },
      { ...REQUEST, repository: 'other/app' },
      { ...REQUEST, repository: 'team/left-out' },
      { ...REQUEST, tag: 'dev' },
      { ...REQUEST, tag: 'latest' },
      { ...byDigest, method: 'GET' },
      { ...byDigest, kind: 'blob' },
    ] as const satisfies readonly ContentRequest[]) {
      assert.equal(await covers(request), false, JSON.stringify(request));
    }
    assert.deepEqual(probed, []);
  });
});
