import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parsePlatform, PLATFORMS } from './platform.ts';

test('parsePlatform knows the platforms of the image, and no others', () => {
  for (const platform of PLATFORMS) {
    assert.equal(parsePlatform(`linux/${platform.architecture}`), platform);
  }
  for (const text of ['linux/riscv64', 'darwin/arm64', 'amd64', '']) {
    assert.equal(parsePlatform(text), undefined, text);
  }
});
