import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { createMetrics } from '../../metrics/metrics.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { quiet } from '../../testing/quiet.ts';
import { registryConfig } from '../../testing/registry-config.ts';
import { TokenRegistry } from '../../testing/token-registry.ts';
import { bytesOf, requestFor } from '../../testing/upstream-fixture.ts';
import { parseRegistries } from '../../hosts/registries/parse-registries.ts';
import { upstreamSettings } from '../upstream-settings.ts';
import { ownClients, upstreamStage } from './upstream.ts';

describe('upstreamStage', () => {
  it('fetches from a registry, and not from the mirror of the node itself', async (t) => {
    const registry = await TokenRegistry.start(t);
    const blob = registry.addBlob(Buffer.from('content'));
    const own = 45_678;
    const endpoints = `endpoint: ["http://127.0.0.1:${own}", "http://localhost:${own}"]`;
    const { registries } = parseRegistries(`mirrors: { "${registry.name}": { ${endpoints} } }`);
    const config = registryConfig({ upstream: registry.origin });
    const file = { path: '/r.yaml', found: true, registries };
    const settings = await upstreamSettings(config, { file }, quiet);
    assert.ok(settings);
    const isLocal = (address: string | undefined): boolean => address === '127.0.0.1';
    const metrics = createMetrics();
    const components = { settings, store: new MemoryStore(), isLocal, metrics, logger: quiet };
    const upstream = upstreamStage(config, components, [own]);
    t.after(() => upstream.stop());
    const { signal } = new AbortController();
    const content = await upstream.source.fetch(requestFor(registry.name, 'a', { blob }), signal);
    assert.equal((await bytesOf(content)).toString(), 'content');
    const { values } = await metrics.upstreamFailures.get();
    assert.deepEqual(values, [], 'nothing was asked before');
  });
});

describe('ownClients', () => {
  it('are those on the node, and with a port for anyone those on loopback', () => {
    const isLocal = (address: string | undefined): boolean => address === '10.0.0.1';
    const ofNode = ownClients(registryConfig({}), isLocal);
    assert.deepEqual([ofNode('10.0.0.1'), ofNode('10.0.0.2')], [true, false]);
    const open = registryConfig({ 'mirror-clients': 'any', 'mirror-addr': ':5002' });
    const ofAny = ownClients(open, isLocal);
    assert.deepEqual(
      [ofAny('10.0.0.1'), ofAny('127.0.0.1'), ofAny(undefined)],
      [false, true, false],
    );
  });
});
