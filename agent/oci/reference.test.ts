import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { canonicalName, isRepository, parseReference, tagName } from './reference.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

describe('parseReference', () => {
  for (const [name, expected] of [
    [
      'docker.io/library/alpine:3.20',
      { registry: 'docker.io', repository: 'library/alpine', tag: '3.20' },
    ],
    ['10.0.0.9:5000/app:1', { registry: '10.0.0.9:5000', repository: 'app', tag: '1' }],
    ['[fd00::1]:5000/a/b:x', { registry: '[fd00::1]:5000', repository: 'a/b', tag: 'x' }],
    [
      'Registry.EXAMPLE:5000/app:V1',
      { registry: 'registry.example:5000', repository: 'app', tag: 'V1' },
    ],
    ['[FD00::A]/a:x', { registry: '[fd00::a]', repository: 'a', tag: 'x' }],
    ['MyHost/app:1', { registry: 'myhost', repository: 'app', tag: '1' }],
    [
      'index.docker.io/library/alpine:3.20',
      { registry: 'docker.io', repository: 'library/alpine', tag: '3.20' },
    ],
    [
      'Registry-1.Docker.io/library/alpine:3.20',
      { registry: 'docker.io', repository: 'library/alpine', tag: '3.20' },
    ],
    ['localhost/app', { registry: 'localhost', repository: 'app' }],
    [`quay.io/a/b@${DIGEST}`, { registry: 'quay.io', repository: 'a/b', digest: DIGEST }],
    [
      `quay.io/a/b:v1@${DIGEST}`,
      { registry: 'quay.io', repository: 'a/b', tag: 'v1', digest: DIGEST },
    ],
  ] as const) {
    it(`parses ${name}`, () => {
      assert.deepEqual(parseReference(name), expected);
    });
  }

  for (const name of [
    '',
    'alpine',
    'alpine:3.20',
    'library/alpine:3.20',
    DIGEST,
    'docker.io/',
    'docker.io/UPPER:1',
    'docker.io/a//b:1',
    'docker.io/a/../b:1',
    'docker.io/a:',
    'docker.io/a:bad tag',
    'docker.io/a@sha256:123',
    'docker.io:port/a:1',
    `docker.io/${'a'.repeat(256)}:1`,
    'docker.io/a:1\n',
  ]) {
    it(`refuses ${JSON.stringify(name.slice(0, 40))}`, () => {
      assert.equal(parseReference(name), undefined);
    });
  }

  it('parses every name that tagName makes', () => {
    const component = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,8}){0,2}$/);
    fc.assert(
      fc.property(
        fc.constantFrom('docker.io', 'ghcr.io', '127.0.0.1:5000', 'localhost'),
        fc.array(component, { minLength: 1, maxLength: 4 }),
        fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,20}$/),
        (registry, components, tag) => {
          const repository = components.join('/');
          assert.deepEqual(parseReference(tagName(registry, repository, tag)), {
            registry,
            repository,
            tag,
          });
        },
      ),
    );
  });

  it('refuses names that would make a careless regular expression slow', () => {
    assert.equal(isRepository(`${'a-'.repeat(120)}!`), false);
    assert.equal(parseReference(`docker.io/${'a__'.repeat(80)}/:1`), undefined);
  });
});

describe('canonicalName', () => {
  it('changes the registry of a name only, and no digest', () => {
    for (const [name, expected] of [
      ['Registry.example/team/app:V1', 'registry.example/team/app:V1'],
      ['INDEX.docker.io/library/alpine', 'docker.io/library/alpine'],
      ['team/app:V1', 'team/app:V1'],
      [DIGEST, DIGEST],
      ['', ''],
    ] as const) {
      assert.equal(canonicalName(name), expected);
    }
  });
});
