import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import { LayoutUnderTest } from '../../testing/layout-fixture.ts';
import { quiet } from '../../testing/quiet.ts';
import { registryConfig } from '../../testing/registry-config.ts';
import { storeStage } from './store.ts';

describe('storeStage', () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-stage-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });
  const components = { metrics: createMetrics(), log: () => quiet };

  it('opens the store of the options behind its guard', async () => {
    await using layout = await (await LayoutUnderTest.create()).begin();
    const digest = await layout.putBlob(Buffer.from('content'));
    const stage = await storeStage(registryConfig({ 'oci-layout': layout.path }), components);
    const blob = await stage.guard.store.open(digest);
    assert.equal(blob?.size, 'content'.length);
    await blob[Symbol.asyncDispose]();
    assert.equal(stage.guard.status()['verdicts'], 1, 'the guard verified it before');
    await stage.stop();
  });

  it('passes on why the options name no store', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');
    await assert.rejects(storeStage(registryConfig({ 'containerd-sock': file }), components), {
      code: 'ERR_STORE_CONFIG',
    });
  });
});
