import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { parseChallenges } from './challenge.ts';

const plain = (header: string | string[] | undefined): unknown[] =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe('parseChallenges', () => {
  it('reads what Docker Hub sends', () => {
    const header =
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/nginx:pull"';
    assert.deepEqual(plain(header), [
      [
        'bearer',
        {
          realm: 'https://auth.docker.io/token',
          service: 'registry.docker.io',
          scope: 'repository:library/nginx:pull',
        },
      ],
    ]);
  });

  it('reads several challenges in one header, as Forgejo sends them, and in several headers', () => {
    const both = [
      ['bearer', { realm: 'https://codeberg.org/v2/token', service: 'container_registry' }],
      ['basic', { realm: 'https://codeberg.org/v2' }],
    ];
    const bearer = 'Bearer realm="https://codeberg.org/v2/token",service="container_registry"';
    const basic = 'Basic realm="https://codeberg.org/v2"';
    assert.deepEqual(plain(`${bearer}, ${basic}`), both);
    assert.deepEqual(plain([bearer, basic]), both);
  });

  it('takes spaces around parameters, quoted commas and quotes, and values without quotes', () => {
    assert.deepEqual(
      plain('Bearer realm = "a,b \\"c\\"" , service=x , error="insufficient_scope"'),
      [['bearer', { realm: 'a,b "c"', service: 'x', error: 'insufficient_scope' }]],
    );
  });

  it('leaves out what it cannot read, and goes on behind it', () => {
    assert.deepEqual(plain('Negotiate YII/abc==, Basic realm="x"').at(-1), [
      'basic',
      { realm: 'x' },
    ]);
    assert.deepEqual(plain('realm="without a scheme"'), []);
    assert.deepEqual(plain(''), []);
    assert.deepEqual(plain(undefined), []);
  });

  it('ends for any text', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        for (const { scheme } of parseChallenges(text)) assert.equal(scheme, scheme.toLowerCase());
      }),
    );
  });
});
