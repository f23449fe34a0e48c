import assert from 'node:assert/strict';
import { test } from 'node:test';

import { spdxDocument } from './sbom.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

function references(document: unknown): Map<string, string> {
  const { packages } = document as {
    packages: { SPDXID: string; externalRefs: { referenceLocator: string }[] }[];
  };
  return new Map(packages.map((it) => [it.SPDXID, it.externalRefs[0]?.referenceLocator ?? '']));
}

test('spdxDocument names packages as scanners look them up', () => {
  const integrity = `sha512-${Buffer.from('xyz').toString('base64')}`;
  const document = spdxDocument({
    metadata: {
      version: '1.0.0',
      description: '',
      licence: 'MIT',
      created: '2024-01-01T00:00:00Z',
      revision: undefined,
      source: undefined,
    },
    image: { mediaType: '', digest: DIGEST, size: 1 },
    suite: 'trixie',
    node: { version: '24.1.0', integrity, license: 'MIT' },
    npm: [
      { name: '@scope/one', version: '2.0.0', license: 'ISC' },
      { name: 'one', version: '2.0.0' },
      { name: 'one', version: '3.0.0' },
    ],
    debian: [
      { name: 'libstdc++6', version: '1:14.2+b1', architecture: 'amd64', source: 'gcc-14 (14.2)' },
    ],
  });
  assert.deepEqual(
    [...references(document)],
    [
      ['SPDXRef-image-peerglass-1.0.0', `pkg:oci/peerglass@${DIGEST.replace(':', '%3A')}`],
      ['SPDXRef-runtime-node-24.1.0', 'pkg:generic/node@24.1.0'],
      ['SPDXRef-npm--scope-one-2.0.0', 'pkg:npm/%40scope/one@2.0.0'],
      ['SPDXRef-npm-one-2.0.0', 'pkg:npm/one@2.0.0'],
      ['SPDXRef-npm-one-3.0.0', 'pkg:npm/one@3.0.0'],
      [
        'SPDXRef-deb-libstdc-6-1-14.2-b1',
        'pkg:deb/debian/libstdc%2B%2B6@1%3A14.2%2Bb1?arch=amd64&distro=debian-trixie&upstream=gcc-14%20(14.2)',
      ],
    ],
  );
  const { relationships } = document as { relationships: unknown[] };
  assert.equal(relationships.length, 6);
});
