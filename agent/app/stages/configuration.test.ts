import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import { quiet } from '../../testing/quiet.ts';
import { registryConfig } from '../../testing/registry-config.ts';
import { configurationStage } from './configuration.ts';

describe('configurationStage', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-settings-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });
  const components = { metrics: createMetrics(), log: () => quiet };

  it('finds options that contradict each other before it makes an identity', async () => {
    const data = join(folder, 'none');
    for (const flags of [
      { 'hold-back-size': '128MiB' },
      { 'bootstrap-kind': 'dns' },
      { 'registry-tls-cert': '/a.crt' },
      { 'registries-yaml': '/r.yaml', 'mirrored-registries': 'docker.io' },
    ]) {
      const config = registryConfig({ ...flags, 'data-dir': data });
      await assert.rejects(configurationStage(config, components), { code: 'ERR_USAGE' });
    }
    assert.equal(existsSync(data), false);
  });

  it('gives the same identity at the next start with the same --data-dir', async () => {
    const config = registryConfig({ 'data-dir': folder });
    const [first, second] = [
      await configurationStage(config, components),
      await configurationStage(config, components),
    ];
    assert.deepEqual(second.privateKey.raw, first.privateKey.raw);
    const without = await configurationStage(registryConfig({}), components);
    assert.notDeepEqual(without.privateKey.raw, first.privateKey.raw);
  });

  it('shares tags unless --resolve-tags is false', async () => {
    for (const [flags, shared] of [
      [{}, true],
      [{ 'resolve-tags': 'false' }, false],
    ] as const) {
      const { policy } = await configurationStage(registryConfig(flags), components);
      assert.equal(policy.sharesTag('ghcr.io', 'team/app', '1'), shared);
      assert.equal(policy.sharesContent('ghcr.io', 'team/app'), true);
    }
  });
});
