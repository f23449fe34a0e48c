import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { publishesContentEvents } from './version.ts';

describe('publishesContentEvents', () => {
  it('is true from containerd 2.1 on, and false for a version that cannot be parsed', () => {
    for (const version of ['v2.1.9', '2.1.0+unknown', '2.10.0', '3.0.0', 'v2.1.9-k3s1']) {
      assert.ok(publishesContentEvents(version), version);
    }
    for (const version of ['1.6.20~ds1', 'v1.7.24', 'v2.0.11', '1.10.0', 'devel', '']) {
      assert.ok(!publishesContentEvents(version), version);
    }
  });
});
