import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { matchesRule, parseShareRule } from './share-rule.ts';

describe('parseShareRule', () => {
  it('reads a registry or a repository, and the mode', () => {
    const text = 'registry.example:5000/team/app=authorized';
    assert.deepEqual(parseShareRule(text), {
      text,
      mode: 'authorized',
      registry: 'registry.example:5000',
      path: ['team', 'app'],
    });
    assert.equal(parseShareRule('index.docker.io=none').registry, 'docker.io');
    assert.equal(parseShareRule('*=all').registry, '*');
  });

  for (const text of [
    '',
    'ghcr.io',
    'ghcr.io=',
    'ghcr.io=some',
    '=all',
    'ghcr.io/=all',
    'ghcr.io//a=all',
    'https://ghcr.io=all',
    'ghcr.io/a:1.0=all',
    'ghcr.io/te*=all',
    'ghcr.io/Team=all',
  ]) {
    it(`refuses "${text}", and says what to write`, () => {
      assert.throws(() => parseShareRule(text), /is no rule; write REGISTRY=MODE .* none/);
    });
  }

  for (const [text, remedy] of [
    [
      'myteam/app=none',
      /"myteam" is no registry.*docker\.io\/myteam\/app=none.*\*\/myteam\/app=none/,
    ],
    ['myteam=none', /"myteam" is no registry.*docker\.io\/myteam=none/],
    ['nginx=none', /docker\.io\/library\/nginx=none/],
    ['a..b/app=none', /is no rule; write REGISTRY=MODE/],
  ] as const) {
    it(`refuses "${text}", which would match no image`, () => {
      assert.throws(() => parseShareRule(text), remedy);
    });
  }

  it('takes a host with a port, a bare localhost and an address for a registry', () => {
    for (const registry of ['registry:5000', 'localhost', '10.0.0.1:5000', '[fd00::1]:5000']) {
      assert.equal(parseShareRule(`${registry}/team=none`).registry, registry);
    }
  });
});

describe('matchesRule', () => {
  const matches = (pattern: string, registry: string, repository: string) =>
    matchesRule(parseShareRule(`${pattern}=all`), registry, repository);

  it('matches a registry, a repository and all below it, at the bounds of its parts', () => {
    assert.equal(matches('ghcr.io', 'ghcr.io', 'team/app'), true);
    assert.equal(matches('ghcr.io', 'quay.io', 'team/app'), false);
    assert.equal(matches('ghcr.io/team', 'ghcr.io', 'team'), true);
    assert.equal(matches('ghcr.io/team', 'ghcr.io', 'team/app'), true);
    assert.equal(matches('ghcr.io/team', 'ghcr.io', 'teammate/app'), false);
    assert.equal(matches('ghcr.io/team/app', 'ghcr.io', 'team'), false);
  });

  it('takes * for one part', () => {
    assert.equal(matches('*', 'ghcr.io', 'team/app'), true);
    assert.equal(matches('*/team', 'ghcr.io', 'team/app'), true);
    assert.equal(matches('ghcr.io/*/app', 'ghcr.io', 'team/app/x'), true);
    assert.equal(matches('ghcr.io/*/app', 'ghcr.io', 'team/web'), false);
    assert.equal(matches('ghcr.io/*/*', 'ghcr.io', 'team'), false);
  });
});
