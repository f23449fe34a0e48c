import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isHostPattern, matchesHost } from './host-pattern.ts';

describe('matchesHost', () => {
  for (const [pattern, host, expected] of [
    ['*.registry.example', 'a.registry.example', true],
    ['*.registry.example', 'registry.example', false],
    ['*.registry.example', 'a.b.registry.example', false],
    ['*.registry.example', 'aregistry.example', false],
    ['*.registry.example', 'a.registry.example.evil', false],
    ['*.registry.example', 'a.registry.example:5000', false],
    ['*.registry.example:5000', 'a.registry.example:5000', true],
    ['*.registry.example:5000', 'a.registry.example', false],
    ['app*.k8s.io', 'app.k8s.io', true],
    ['app*.k8s.io', 'app-7.k8s.io', true],
    ['app*.k8s.io', 'my-app.k8s.io', false],
    ['*b*d.example', 'abcd.example', true],
    ['*b*d.example', 'abcde.example', false],
    ['a?.example', 'ab.example', true],
    ['a?.example', 'a.example', false],
    ['*.dkr.ecr.*.amazonaws.com', '1.dkr.ecr.eu-west-1.amazonaws.com', true],
    ['*', 'localhost', true],
    ['*', '[fd00::9]:5000', false],
    ['registry.example', 'registry.example', true],
    ['registry.example', 'other.example', false],
  ] as const) {
    it(`of ${pattern} is ${String(expected)} for ${host}`, () => {
      assert.equal(matchesHost(pattern, host), expected);
    });
  }

  it('ends also for a pattern that was made to take long', () => {
    const pattern = `${'*a'.repeat(2_000)}b.example`;
    assert.equal(matchesHost(pattern, `${'a'.repeat(60)}.example`), false);
  });
});

describe('isHostPattern', () => {
  it('tells patterns from hosts', () => {
    assert.ok(isHostPattern('*.example'));
    assert.ok(isHostPattern('a?.example'));
    for (const host of ['registry.example', '10.0.0.9:5000', '[fd00::9]:5000']) {
      assert.ok(!isHostPattern(host), host);
    }
  });
});
