import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { registryConfig } from '../../testing/registry-config.ts';
import { tagChecksStage } from './tag-checks.ts';

describe('tagChecksStage', () => {
  for (const [mode, isOpen, isShared] of [
    ['auto', false, true],
    ['auto', true, false],
    ['always', true, true],
    ['never', false, false],
  ] as const) {
    it(`${isShared ? 'shares' : 'does not share'} checks with ${mode} in ${isOpen ? 'an open' : 'a closed'} cluster`, () => {
      const config = registryConfig({ upstream: ['docker.io'], 'share-tag-checks': mode });
      const stage = tagChecksStage(config, { isOpen });
      const protocol = isShared ? '/peerglass/tag-checks/1.0.0' : undefined;
      assert.equal(stage?.questions.protocol, protocol);
    });
  }

  it('shares none on a node that asks no registries', () => {
    assert.equal(tagChecksStage(registryConfig({}), { isOpen: false }), undefined);
  });
});
