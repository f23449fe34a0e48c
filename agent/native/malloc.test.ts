import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { trimFreedMemory } from './malloc.ts';

describe('trimFreedMemory', () => {
  it('returns without an error, wherever it runs', () => {
    trimFreedMemory();
    assert.ok(process.memoryUsage.rss() > 0);
  });
});
