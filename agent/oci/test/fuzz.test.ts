import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe } from 'node:test';

import { fuzz } from '../../testing/fuzz/fuzz.ts';
import { formatRange, parseContentRange, parseRange, resolveRange } from '../byte-range.ts';
import { digestAlgorithm, digestHex, parseDigest } from '../digest.ts';
import { ManifestError, parseManifest } from '../manifest.ts';
import { MEDIA_TYPE } from '../media-type.ts';
import { canonicalName, looksLikeRegistry, parseReference, tagName } from '../reference.ts';
import { matchesRule, parseShareRule } from '../share-rule.ts';

const CORPORA = join(import.meta.dirname, 'corpus');
const SHA256 = `sha256:${'0123456789abcdef'.repeat(4)}`;
const SHA512 = `sha512:${'0123456789abcdef'.repeat(8)}`;
const SIZE = 1000;

function descriptorOf(mediaType: string): object {
  return { mediaType, digest: SHA256, size: 7, annotations: { a: 'b' } };
}

describe('what clients and peers name', () => {
  fuzz(CORPORA, {
    name: 'ranges',
    seeds: ['bytes=0-', 'bytes=5-9', 'bytes=-7', 'bytes=0-1,5-6'],
    words: ['bytes=', '-', '999999999999999', '9007199254740993'],
    errors: [],
    parse: (input) => parseRange(input.toString('latin1')),
    check(range) {
      if (range === undefined) return;
      assert.deepEqual(parseRange(formatRange(range)), range);
      const resolved = resolveRange(range, SIZE);
      if (resolved === undefined) return;
      const { start, end } = resolved;
      assert.ok(0 <= start && start <= end && end < SIZE, `${start}-${end}`);
    },
  });

  fuzz(CORPORA, {
    name: 'content ranges',
    seeds: ['bytes 5-9/10', 'bytes 0-0/*'],
    words: ['bytes ', '/', '999999999999999'],
    errors: [],
    parse: (input) => parseContentRange(input.toString('latin1')),
    check(range) {
      if (range === undefined) return;
      const { start, end, size } = range;
      assert.ok(start <= end && (size === undefined || end < size));
      assert.deepEqual(parseContentRange(`bytes ${start}-${end}/${size ?? '*'}`), range);
    },
  });

  fuzz(CORPORA, {
    name: 'digests',
    seeds: [SHA256, SHA512],
    words: ['sha256:', 'sha512:', 'blake3:', '__proto__:', 'constructor:'],
    errors: [],
    parse: (input) => parseDigest(input.toString('latin1')),
    check(digest, input) {
      if (digest === undefined) return;
      assert.equal(digest, input.toString('latin1'));
      assert.equal(`${digestAlgorithm(digest)}:${digestHex(digest)}`, digest);
      // Its part is a file name of the content store.
      assert.match(digestHex(digest), /^[0-9a-f]+$/);
    },
  });

  fuzz(CORPORA, {
    name: 'references',
    seeds: [
      'docker.io/library/alpine:3.20',
      'index.docker.io/a/b',
      `[fd00::1]:5000/team/app:v1@${SHA256}`,
      'Registry.Example:5000/a__b/c-d.e:T_1',
    ],
    words: ['docker.io/', 'localhost/', ':5000/', '@sha256:', '/', '..', '%2e'],
    errors: [],
    parse: (input) => parseReference(input.toString('latin1')),
    check(reference, input) {
      canonicalName(input.toString('latin1'));
      if (reference === undefined) return;
      const { registry, repository, tag, digest } = reference;
      const name =
        tag === undefined ? `${registry}/${repository}` : tagName(registry, repository, tag);
      const text = digest === undefined ? name : `${name}@${digest}`;
      // A host that is one by its capital letters only is none in canonical form: `ns` names it, never a path.
      if (looksLikeRegistry(registry)) assert.deepEqual(parseReference(text), reference);
      assert.equal(canonicalName(text), text);
      assert.ok(!repository.includes('..') && !/[\s%]/.test(text), text);
    },
  });

  fuzz(CORPORA, {
    name: 'manifests',
    seeds: [
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MEDIA_TYPE.ociManifest,
        config: descriptorOf(MEDIA_TYPE.ociConfig),
        layers: [descriptorOf('application/vnd.oci.image.layer.v1.tar+gzip'), descriptorOf('')],
      }),
      JSON.stringify({ schemaVersion: 2, manifests: [descriptorOf(MEDIA_TYPE.ociManifest)] }),
      JSON.stringify({ config: descriptorOf(MEDIA_TYPE.dockerConfig), layers: [] }),
    ],
    words: [
      'null',
      '[]',
      '{}',
      '-1',
      '1e999',
      '0.5',
      '"manifests":',
      '"__proto__":',
      '"size":',
      SHA512,
    ],
    errors: [ManifestError],
    parse: (input) => parseManifest(input),
    check(manifest) {
      for (const { digest, size } of manifest.children) {
        assert.equal(parseDigest(digest), digest);
        assert.ok(Number.isSafeInteger(size) && size >= 0);
      }
      const { mediaType, children } = manifest;
      const isIndex = mediaType === MEDIA_TYPE.ociIndex || mediaType === MEDIA_TYPE.dockerList;
      const [config, ...layers] = children;
      const again = isIndex ? { manifests: children } : { config, layers };
      if (!isIndex && config === undefined) return;
      const { children: read } = parseManifest(Buffer.from(JSON.stringify(again)));
      assert.deepEqual(read, children);
    },
  });

  fuzz(CORPORA, {
    name: 'share rules',
    seeds: ['ghcr.io=all', '*=none', 'ghcr.io/team/*=authorized', '[fd00::1]:5000/a=all'],
    words: ['=all', '=none', '=authorized', '/*', '*'],
    // Of an option, whose reader says where it stood.
    errors: [Error],
    parse: (input) => parseShareRule(input.toString('latin1')),
    check(rule) {
      const text = `${[rule.registry, ...rule.path].join('/')}=${rule.mode}`;
      assert.deepEqual(parseShareRule(text), { ...rule, text });
      const repository = rule.path.map((part) => (part === '*' ? 'any' : part)).join('/');
      const registry = rule.registry === '*' ? 'any.example' : rule.registry;
      assert.ok(matchesRule(rule, registry, repository), text);
    },
  });
});
