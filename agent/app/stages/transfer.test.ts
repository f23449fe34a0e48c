import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { registryConfig } from '../../testing/registry-config.ts';
import { VERSION } from '../version.ts';
import { transferInit } from './transfer.ts';

describe('transferInit', () => {
  it('gives half of --peer-timeout to connecting, and names this version to peers', () => {
    const config = registryConfig({ 'peer-timeout': '3s', 'stall-timeout': '7s', zone: 'a' });
    const { client, transfer } = transferInit(config, { verifiedBuffer: { size: 1, memory: 2 } });
    assert.deepEqual(client, {
      userAgent: `peerglass/${VERSION}`,
      connectTimeout: 1_500,
      headTimeout: 3_000,
      stallTimeout: 7_000,
    });
    assert.equal(transfer.zone, 'a');
    assert.deepEqual(transfer.verifiedBuffer, { size: 1, memory: 2 });
  });
});
