import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { registryConfig } from '../../testing/registry-config.ts';
import { Health } from '../health.ts';
import { adminStage, type AdminSources } from './admin.ts';

/** Parts of an agent, as far as the admin port looks at them. */
const SOURCES = {
  dataPlane: { path: 'stream' },
  guard: { status: () => ({}), store: new MemoryStore() },
  inventory: { status: () => ({ synced: true }), countByRegistry: () => new Map() },
  router: {
    peerId: 'me',
    listening: [],
    status: () => ({ peers: 4, advertisedKeys: 14, records: 5, bootstrapped: true }),
    bootstrapAddresses: () => ({ named: 0, unreached: [] }),
    self: () => ({ peerId: 'me', origins: ['http://10.0.0.1:5000'] }),
    countSpeakers: () => ({ peers: 4, speakers: 3 }),
  },
  transfer: { blocklist: { count: () => ({ everything: 0, keys: 0 }), status: () => [] } },
  tags: { status: () => ({}) },
  registries: ['docker.io'],
  registryPort: 5000,
  mirrorPort: 5000,
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
        const downloads = await get('/debug/downloads');
        assert.equal(downloads.status, debugWeb ? 200 : 404);
        if (!debugWeb) return;
        const { peerId, origins, fanOut } = JSON.parse(text) as Record<string, unknown>;
        assert.deepEqual([peerId, origins], ['me', ['http://10.0.0.1:5000']]);
        const reason = 'the store has no unfinished downloads: an OCI image layout (--oci-layout)';
        const off = { enabled: false, reason };
        assert.deepEqual(fanOut, { ...off, seesDownloads: false, peers: 4, speakers: 3 });
        assert.deepEqual(JSON.parse(downloads.text), off);
      } finally {
        await stage.stop();
      }
    });
  }

  for (const [clients, isNode, status] of [
    ['loopback', false, 200],
    ['node', true, 200],
    ['node', false, 404],
    ['any', false, 200],
  ] as const) {
    it(`answers ${status} to a client on loopback with --debug-clients ${clients}, ${isNode ? 'on' : 'not on'} the node`, async () => {
      const config = registryConfig({ 'debug-clients': clients });
      const isLocal = (): boolean => isNode;
      const stage = adminStage(config, { metrics: createMetrics(), health: new Health(), isLocal });
      const origin = `http://127.0.0.1:${await stage.start()}`;
      stage.show(SOURCES);
      try {
        const headers = { Connection: 'close' };
        const response = await fetch(`${origin}/debug/status`, { headers });
        await response.text();
        assert.equal(response.status, status);
      } finally {
        await stage.stop();
      }
    });
  }
});
