import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { registryConfig } from '../testing/registry-config.ts';
import { verifiedBufferInit } from './verified-buffer-options.ts';

describe('verifiedBufferInit', () => {
  it('gives both bounds in bytes, and allows one blob to take all of the memory', () => {
    const config = registryConfig({ 'hold-back-size': '8MiB', 'hold-back-memory': '8MiB' });
    assert.deepEqual(verifiedBufferInit(config), { size: 8 << 20, memory: 8 << 20 });
  });

  it('refuses a memory that is too small for one blob', () => {
    const config = registryConfig({ 'hold-back-size': '9MiB', 'hold-back-memory': '8MiB' });
    assert.throws(() => verifiedBufferInit(config), {
      code: 'ERR_USAGE',
      message: /--hold-back-size must not be more than --hold-back-memory/,
    });
  });
});
