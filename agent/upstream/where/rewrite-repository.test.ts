import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { compileRewrites } from './rewrite-repository.ts';

const rewrite = (pattern: string, replacement: string, repository: string): string =>
  compileRewrites([{ pattern, replacement }]).apply(repository);

describe('compileRewrites', () => {
  it('rewrites as k3s documents it', () => {
    assert.equal(
      rewrite('^rancher/(.*)', 'mirrorproject/rancher-images/$1', 'rancher/pause'),
      'mirrorproject/rancher-images/pause',
    );
    assert.equal(rewrite('^rancher/(.*)', 'x/$1', 'library/nginx'), 'library/nginx');
  });

  it('uses the first rule that changes the name', () => {
    const { apply } = compileRewrites([
      { pattern: '^none/(.*)', replacement: 'a/$1' },
      { pattern: '^team/(.*)', replacement: 'b/$1' },
      { pattern: '^team/(.*)', replacement: 'c/$1' },
    ]);
    assert.equal(apply('team/app'), 'b/app');
  });

  it('expands groups as Go does', () => {
    assert.equal(rewrite('^(.*)$', '${1}x', 'a'), 'ax');
    assert.equal(rewrite('^(.*)$', '$1x', 'a'), '');
    assert.equal(rewrite('^(?P<all>.*)$', 'p/${all}', 'a'), 'p/a');
    assert.equal(rewrite('^(a)(b)?', '$1-$2-$9', 'a'), 'a--');
    assert.equal(rewrite('^a$', '$$1', 'a'), '$1');
  });

  it('takes the syntax of RE2', () => {
    assert.equal(rewrite(String.raw`\A[[:alpha:]]+\z`, 'x', 'library'), 'x');
    assert.equal(rewrite('(?i)^TEAM/(.*)', 'x/$1', 'team/app'), 'x/app');
    assert.equal(rewrite(String.raw`^\Qa.b\E/(.*)`, 'x/$1', 'a.b/c'), 'x/c');
    assert.equal(rewrite(String.raw`^\Qa.b\E/(.*)`, 'x/$1', 'aab/c'), 'aab/c');
    assert.equal(rewrite(String.raw`^a\\(b)`, 'x', 'ab'), 'ab');
  });

  it('names patterns that it cannot use', () => {
    const patterns = ['(', String.raw`\pL+`, '[[:^alpha:]]'];
    const { apply, unusable } = compileRewrites(
      patterns.map((pattern) => ({ pattern, replacement: 'x' })),
    );
    assert.deepEqual(unusable, patterns);
    assert.equal(apply('a'), 'a');
  });
});
