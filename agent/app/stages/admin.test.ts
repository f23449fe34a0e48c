import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import { registryConfig } from '../../testing/registry-config.ts';
import { Health } from '../health.ts';
import { adminStage, type AdminSources } from './admin.ts';

/** Parts of an agent, as far as the admin port looks at them. */
const SOURCES = {
  dataPlane: { path: 'stream' },
  guard: { status: () => ({}) },
  inventory: { status: () => ({ synced: true }), countByRegistry: () => new Map() },
  router: {
    peerId: 'me',
    listening: [],
    status: () => ({ peers: 4, advertisedKeys: 14, records: 5, bootstrapped: true }),
    bootstrapAddresses: () => ({ named: 0, unreached: [] }),
  },
  transfer: { blocklist: { count: () => ({ everything: 0, keys: 0 }), status: () => [] } },
  tags: { status: () => ({}) },
  registries: ['docker.io'],
  registryPort: 5000,
} as unknown as AdminSources;

describe('adminStage', () => {
  for (const debugWeb of [true, false]) {
    it(`shows the parts once they exist, and ${debugWeb ? 'serves' : 'does not serve'} /debug/ as --debug-web-enabled is set`, async () => {
      const config = registryConfig({ 'debug-web-enabled': String(debugWeb) });
      const components = { metrics: createMetrics(), health: new Health(), isLocal: () => true };
      const stage = adminStage(config, components);
      const origin = `http://127.0.0.1:${await stage.start()}`;
      const get = async (path: string): Promise<{ status: number; text: string }> => {
        const response = await fetch(origin + path, { headers: { Connection: 'close' } });
        return { status: response.status, text: await response.text() };
      };
      try {
        assert.equal((await get('/livez')).status, 200);
        assert.match((await get('/readyz')).text, /"reason":"starting"/);
        assert.equal((await get('/debug/status')).status, 404);
        assert.doesNotMatch((await get('/metrics')).text, /^peerglass_routing_peers 4$/m);
        stage.show(SOURCES);
        assert.match((await get('/metrics')).text, /^peerglass_routing_peers 4$/m);
        const { status, text } = await get('/debug/status');
        assert.equal(status, debugWeb ? 200 : 404);
        if (debugWeb) assert.equal((JSON.parse(text) as { peerId: string }).peerId, 'me');
      } finally {
        await stage.stop();
      }
    });
  }
});
