import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { policyOf, settingsOf } from './settings.ts';

describe('settingsOf', () => {
  it("has the agent's defaults for what is missing", () => {
    const defaults = {
      registryPort: 5000,
      registryHost: '',
      registryTls: undefined,
      registries: [],
      filters: [],
      latest: false,
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
        latest: true,
      },
      integrity: { bad: { 'sha256:1': {} } },
    };
    assert.deepEqual(settingsOf(status), {
      ...status.settings,
      registries: ['docker.io'],
      bad: new Set(['sha256:1']),
    });
  });

  it('takes a wildcard address as any host', () => {
    for (const registryHost of ['0.0.0.0', '::']) {
      assert.equal(settingsOf({ settings: { registryHost } }).registryHost, '');
    }
  });
});

describe('policyOf', () => {
  it('shares what an agent with these settings shares', () => {
    const settings = { registries: ['docker.io'], filters: [':dev$'], latest: false };
    const policy = policyOf(settingsOf({ settings }));
    assert.equal(policy.sharesTag('docker.io', 'library/nginx', '1'), true);
    assert.equal(policy.sharesTag('docker.io', 'library/nginx', '1-x:dev'), false);
    assert.equal(policy.sharesTag('docker.io', 'library/nginx', 'latest'), false);
    assert.equal(policy.sharesContent('ghcr.io', 'team/app'), false);
  });
});
