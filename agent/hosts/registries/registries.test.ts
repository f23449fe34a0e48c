import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SharePolicy } from '../../oci/share-policy.ts';
import { WHOLE_REGISTRIES } from '../../testing/registry-findings.ts';
import { parseRegistries } from './parse-registries.ts';
import { configOf, isLocalRegistry, sharedRegistries, type Registries } from './registries.ts';

const parsed = (text: string): Registries => parseRegistries(text).registries;

describe('sharedRegistries', () => {
  it('names the registries under mirrors, except those of the node itself', () => {
    assert.deepEqual(sharedRegistries(parsed(WHOLE_REGISTRIES)), [
      'docker.io',
      'registry.k8s.io',
      '*',
      'gcr.io',
    ]);
    assert.deepEqual(sharedRegistries(parsed('configs: {m.example: {}}')), []);
  });

  it('shares nothing of a file whose keys are no registries, as k3s does, and not everything', () => {
    for (const key of [
      'my_gcr',
      'quay.io/team',
      '"*.example"',
      '"a b"',
      'https://u:pw@a.example',
    ]) {
      const names = sharedRegistries(parsed(`mirrors:\n  ${key}:\n`));
      assert.deepEqual(names, ['?2'], key);
      assert.equal(new SharePolicy({ registries: names }).sharesContent('quay.io', 'a'), false);
    }
    const both = parsed('mirrors:\n  my_gcr:\n  quay.io:\n');
    assert.deepEqual(sharedRegistries(both), ['quay.io']);
  });
});

describe('isLocalRegistry', () => {
  it('recognises the registries of the node itself', () => {
    for (const local of ['localhost', 'localhost:5', '127.9.0.1:5000', '[::1]', '[0:0::1]:5']) {
      assert.ok(isLocalRegistry(local), local);
    }
    for (const other of ['localhost.example', '128.0.0.1', '[fe80::1]:5', '[::11]', 'a:5000']) {
      assert.ok(!isLocalRegistry(other), other);
    }
  });
});

describe('configOf', () => {
  it('prefers settings under the real host of Docker Hub, as k3s does', () => {
    const { tls, auth } = configOf(parsed(WHOLE_REGISTRIES), 'docker.io');
    assert.equal(tls?.insecureSkipVerify, true);
    assert.equal(auth, undefined);
    const only = parsed('configs: {docker.io: {tls: {insecure_skip_verify: true}}}');
    assert.equal(configOf(only, 'docker.io').tls?.insecureSkipVerify, true);
  });
});
