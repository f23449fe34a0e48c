import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { COMMON_OPTIONS, REGISTRY_OPTIONS, REGISTRY_SECTIONS, environmentName } from './options.ts';
import { resolveOptions } from './resolve.ts';

const ALL = { ...REGISTRY_OPTIONS, ...COMMON_OPTIONS };

describe('REGISTRY_OPTIONS', () => {
  it('has the defaults of Spegel', () => {
    const values = resolveOptions(REGISTRY_OPTIONS, {}, {});
    assert.deepEqual(values['registry-addr'], { host: '', port: 5000 });
    assert.deepEqual(values['router-addr'], { host: '', port: 5001 });
    assert.deepEqual(values['metrics-addr'], { host: '', port: 9090 });
    assert.equal(values['containerd-sock'], '/run/containerd/containerd.sock');
    assert.equal(values['containerd-namespace'], 'k8s.io');
    assert.equal(
      values['containerd-content-path'],
      '/var/lib/containerd/io.containerd.content.v1.content',
    );
    assert.equal(values['mirror-resolve-timeout'], 20);
    assert.equal(values['mirror-resolve-retries'], 3);
    assert.equal(values['enable-latest'], false);
    assert.equal(values['debug-web-enabled'], true);
    assert.deepEqual(values['registry-filters'], []);
    assert.equal(resolveOptions(COMMON_OPTIONS, {}, {})['log-level'], 'INFO');
  });

  it('has a variable of its own for every option, and a default that parses', () => {
    const names = Object.entries(ALL).map(([flag, option]) => environmentName(flag, option));
    assert.equal(new Set(names).size, names.length);
    assert.doesNotThrow(() => resolveOptions(ALL, {}, {}));
  });
});

describe('REGISTRY_SECTIONS', () => {
  it('has every option in exactly one section', () => {
    const flags = Object.values(REGISTRY_SECTIONS).flatMap((table) => Object.keys(table));
    assert.deepEqual(flags.toSorted(), Object.keys(ALL).toSorted());
  });
});
