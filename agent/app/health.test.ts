import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Health } from './health.ts';

describe('Health', () => {
  it('names both that may keep the store from being listed', () => {
    const health = new Health();
    assert.match(health.readiness().checks['store']?.reason ?? '', /containerd.*--oci-layout/);
  });
});
