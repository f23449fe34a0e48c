import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { nameOf, qualify } from './qualify.ts';

describe('qualify', () => {
  for (const [text, registry, repository, tag] of [
    ['nginx', 'docker.io', 'library/nginx', 'latest'],
    ['nginx:1.27', 'docker.io', 'library/nginx', '1.27'],
    ['team/app', 'docker.io', 'team/app', 'latest'],
    ['docker.io/nginx:1', 'docker.io', 'library/nginx', '1'],
    ['10.0.0.1:5000/app:1', '10.0.0.1:5000', 'app', '1'],
  ] as const) {
    it(`completes ${text}`, () => {
      assert.deepEqual(qualify(text), { registry, repository, tag });
    });
  }

  it('refuses what is no image name', () => {
    for (const text of ['', 'UPPER', 'a b', '../x', 'x:']) assert.equal(qualify(text), undefined);
  });
});

describe('nameOf', () => {
  it('is the inverse of qualify for full names', () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    for (const name of [
      'docker.io/library/nginx:1.27',
      `ghcr.io/team/app@${digest}`,
      `10.0.0.1:5000/app:1@${digest}`,
    ]) {
      const reference = qualify(name);
      assert.ok(reference !== undefined, name);
      assert.equal(nameOf(reference), name);
    }
  });
});
