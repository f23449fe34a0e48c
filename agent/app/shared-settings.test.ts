import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { registryConfig } from '../testing/registry-config.ts';
import { sharedSettings } from './shared-settings.ts';

const EFFECTIVE = { registries: ['docker.io'], registryPort: 5000, mirrorPort: 5002 } as const;

describe('sharedSettings', () => {
  it('shows where containerd keeps its content, or else the image layout', () => {
    const containerd = sharedSettings(
      registryConfig({ 'containerd-sock': '/run/c.sock' }),
      EFFECTIVE,
    );
    assert.equal(containerd['containerdSock'], '/run/c.sock');
    assert.ok(!('ociLayout' in containerd));
    const layout = sharedSettings(registryConfig({ 'oci-layout': '/layout' }), EFFECTIVE);
    assert.equal(layout['ociLayout'], '/layout');
    assert.ok(!('containerdSock' in layout));
  });

  it('shows the registries and the port that the agent came to, and whether the mirror has TLS', () => {
    const settings = sharedSettings(
      registryConfig({ 'registry-tls-cert': '/tls.crt', 'registry-tls-key': '/tls.key' }),
      EFFECTIVE,
    );
    assert.deepEqual(settings['registries'], ['docker.io']);
    assert.equal(settings['registryPort'], 5000);
    assert.equal(settings['mirrorPort'], 5002);
    assert.equal(settings['registryTls'], true);
    assert.equal(settings['configure'], false);
    assert.equal(settings['resolveTags'], true);
    assert.doesNotMatch(JSON.stringify(settings), /tls\.(crt|key)/);
  });

  it('shows where the containerd of this node is served, and who else is there', () => {
    const shown = (flags: Record<string, string>): unknown[] => {
      const settings = sharedSettings(registryConfig(flags), EFFECTIVE);
      return [settings['mirrorHost'], settings['mirrorClients']];
    };
    assert.deepEqual(shown({ 'registry-addr': '10.0.0.1:5000' }), ['10.0.0.1', 'any']);
    assert.deepEqual(shown({ 'mirror-addr': '127.0.0.1:5002' }), ['127.0.0.1', 'node']);
    assert.deepEqual(shown({ 'mirror-addr': ':5002', 'mirror-clients': 'any' }), ['', 'any']);
  });
});
