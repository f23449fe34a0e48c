import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import { DataPlane } from '../../native/data-plane.ts';
import { SharePolicy } from '../../oci/share-policy.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { quiet } from '../../testing/quiet.ts';
import { registryConfig } from '../../testing/registry-config.ts';
import { MirrorPort, mirrorStage, outageAnswers, uploadsInit } from './mirror.ts';

const ADDRESS = { host: '127.0.0.1', port: 0 };

describe('MirrorPort', () => {
  it('answers 503 until there is a handler, and closes when it has drained', async () => {
    const metrics = createMetrics();
    const port = new MirrorPort({ metrics }, ADDRESS);
    const url = `http://127.0.0.1:${await port.start()}/v2/`;
    const status = async (): Promise<number> => {
      const response = await fetch(url, { headers: { Connection: 'close' } });
      await response.body?.cancel();
      return response.status;
    };
    assert.equal(await status(), 503);
    port.serve(
      mirrorStage({
        store: new MemoryStore(),
        remote: [],
        policy: new SharePolicy(),
        sharesDigest: () => true,
        holders: () => [],
        dataPlane: new DataPlane({ logger: quiet }, 'stream'),
        metrics,
        logger: quiet,
      }).peers,
    );
    assert.equal(await status(), 200);
    await port.drain({ shutdownDelay: 0, shutdownTimeout: 0 });
    await assert.rejects(status());
    await port.stop();
  });
});

describe('outageAnswers', () => {
  it('is there with --authorized-outage=local only', () => {
    const components = {
      policy: new SharePolicy(),
      isLocal: () => true,
      inventory: { holds: () => true },
      logger: quiet,
    };
    assert.equal(outageAnswers(registryConfig({}), components), undefined);
    const local = registryConfig({ 'authorized-outage': 'local' });
    assert.ok(outageAnswers(local, components) !== undefined);
  });
});

describe('uploadsInit', () => {
  it('takes zone and bounds from the options', () => {
    const flags = { zone: 'a', 'max-uploads': '7', 'max-uploads-per-blob': '3' };
    const { zone, max, maxPerBlob } = uploadsInit(registryConfig(flags));
    assert.deepEqual([zone, max, maxPerBlob], ['a', 7, 3]);
  });
});
