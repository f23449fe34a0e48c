import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { REGISTRY_OPTIONS } from './options.ts';
import { resolveOptions, splitList } from './resolve.ts';

const resolve = (
  written: Record<string, string[]>,
  env: NodeJS.ProcessEnv = {},
): ReturnType<typeof resolveOptions<typeof REGISTRY_OPTIONS>> =>
  resolveOptions(REGISTRY_OPTIONS, written, env);

describe('resolveOptions', () => {
  it('prefers the flag to the variable, and takes an empty variable as not set', () => {
    const env = { REGISTRY_ADDR: '127.0.0.1:1', METRICS_ADDR: '' };
    assert.deepEqual(resolve({}, env)['registry-addr'], { host: '127.0.0.1', port: 1 });
    const both = resolve({ 'registry-addr': ['[::1]:2'] }, env);
    assert.deepEqual(both['registry-addr'], { host: '::1', port: 2 });
    assert.deepEqual(resolve({}, env)['metrics-addr'], { host: '', port: 9090 });
  });

  it('names the variable when its value is wrong, and refuses a flag that is given twice', () => {
    assert.throws(() => resolve({}, { REGISTRY_ADDR: 'x' }), /^UsageError: REGISTRY_ADDR: /);
    assert.throws(() => resolve({ 'data-dir': ['a', 'b'] }), /given 2 times/);
  });

  it('splits a variable with a list, and takes every occurrence of a flag', () => {
    const lists = resolve(
      { 'registry-filters': ['a{1,2}', ':dev$'] },
      { MIRRORED_REGISTRIES: 'docker.io, ghcr.io' },
    );
    assert.deepEqual(lists['registry-filters'].map(String), ['/a{1,2}/', '/:dev$/']);
    assert.equal(lists['mirrored-registries'].length, 2);
    assert.deepEqual(resolve({ 'registry-filters': [''] })['registry-filters'], []);
  });
});

describe('splitList', () => {
  it('returns the items that were joined with quotes', () => {
    const item = fc.string({ minLength: 1 }).filter((text) => text.trim() !== '');
    fc.assert(
      fc.property(fc.array(item), (items) => {
        const text = items.map((each) => `"${each.replaceAll('"', '""')}"`).join(',');
        assert.deepEqual(splitList(text), items);
      }),
    );
  });
});
