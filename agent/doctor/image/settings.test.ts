import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { policyOf, settingsOf } from './settings.ts';

describe('settingsOf', () => {
  it("has the agent's defaults for what is missing", () => {
    const defaults = {
      mirrorPort: 5000,
      mirrorHost: '',
      registryTls: undefined,
      registries: [],
      filters: [],
      tags: true,
      latest: false,
      share: [],
      bad: new Set(),
    };
    for (const status of [undefined, {}, { settings: { registries: 'x', registryPort: '1' } }]) {
      assert.deepEqual(settingsOf(status), defaults);
    }
  });

  it('reads what the agent reports', () => {
    const status = {
      settings: {
        registryPort: 30020,
        registryHost: '10.0.0.1',
        registryTls: true,
        registries: ['*', 'docker.io'],
        filters: [':dev$'],
        resolveTags: false,
        latest: true,
        share: ['ghcr.io=authorized'],
      },
      integrity: { bad: { 'sha256:1': {} } },
    };
    const { registryPort, registryHost, resolveTags, ...settings } = status.settings;
    const read = {
      ...settings,
      tags: resolveTags,
      registries: ['docker.io'],
      bad: new Set(['sha256:1']),
    };
    assert.deepEqual(settingsOf(status), {
      ...read,
      mirrorPort: registryPort,
      mirrorHost: registryHost,
    });
    // The agent has a listener for the containerd of its node.
    const own = { mirrorPort: 5002, mirrorHost: '127.0.0.1' };
    const both = settingsOf({ ...status, settings: { ...status.settings, ...own } });
    assert.deepEqual(both, { ...read, ...own });
  });

  it('takes a wildcard address as any host', () => {
    for (const registryHost of ['0.0.0.0', '::']) {
      assert.equal(settingsOf({ settings: { registryHost } }).mirrorHost, '');
    }
  });
});

describe('policyOf', () => {
  it('shares what an agent with these settings shares', () => {
    const share = ['docker.io/team=authorized', 'nonsense'];
    const settings = { registries: ['docker.io'], filters: [':dev$'], latest: false, share };
    const policy = policyOf(settingsOf({ settings }));
    assert.equal(policy.sharesTag('docker.io', 'library/nginx', '1'), true);
    assert.equal(policy.sharesTag('docker.io', 'library/nginx', '1-x:dev'), false);
    assert.equal(policy.sharesTag('docker.io', 'library/nginx', 'latest'), false);
    assert.equal(policy.sharesContent('ghcr.io', 'team/app'), false);
    assert.equal(policy.sharesTag('docker.io', 'team/app', '1'), false);
    assert.equal(policy.sharesContent('docker.io', 'team/app'), true);
  });
});
