import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { createMetrics } from '../metrics/metrics.ts';
import { ContainerdStore } from '../store/containerd-store.ts';
import type { ContentStore } from '../store/content-store.ts';
import { OciLayoutStore } from '../store/oci-layout-store.ts';
import { quiet } from '../testing/quiet.ts';
import { registryConfig } from '../testing/registry-config.ts';
import { createStore } from './store.ts';

describe('createStore', () => {
  let folder: string;
  let file: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'peerglass-store-'));
    file = join(folder, 'file');
    writeFileSync(file, '');
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });
  const create = async (flags: Readonly<Record<string, string>>): Promise<ContentStore> => {
    await using resources = new AsyncDisposableStack();
    return createStore(registryConfig(flags), resources, {
      metrics: createMetrics(),
      logger: quiet,
    });
  };

  it('makes the store of an image layout before that of containerd', async () => {
    assert.ok((await create({ 'oci-layout': folder })) instanceof OciLayoutStore);
  });

  it('makes the store of containerd whose socket and content do not exist yet', async () => {
    const store = await create({
      'containerd-sock': join(folder, 'none.sock'),
      'containerd-content-path': join(folder, 'none'),
    });
    assert.ok(store instanceof ContainerdStore);
  });

  it('refuses a socket that is a plain file, and a content folder that is one', async () => {
    const code = 'ERR_STORE_CONFIG';
    await assert.rejects(create({ 'containerd-sock': file }), { code, message: /not a socket/ });
    const flags = { 'containerd-sock': join(folder, 'none.sock'), 'containerd-content-path': file };
    await assert.rejects(create(flags), { code, message: /--containerd-content-path .*a file/ });
  });
});
