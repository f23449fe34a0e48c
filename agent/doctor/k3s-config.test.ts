import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isEmbeddedRegistryOn } from './k3s-config.ts';

const FILE = '/etc/rancher/k3s/config.yaml';

describe('isEmbeddedRegistryOn', () => {
  for (const [text, expected] of [
    ['', false],
    ['# embedded-registry: true\n', false],
    ['token: x\nembedded-registry: true\n', true],
    ['"embedded-registry": "true"\n', true],
    ['{embedded-registry: yes, token: x}\n', true],
    ['embedded-registry: false\n', false],
    ['embedded-registry:\n', false],
    ['embedded-registry: [true]\n', false],
    ['note: |\n  embedded-registry: true\n', false],
  ] as const) {
    it(`is ${expected} for ${JSON.stringify(text)}`, () => {
      assert.equal(isEmbeddedRegistryOn(text, FILE), expected);
    });
  }

  for (const [text, place] of [
    ['token: secret\nembedded-registry: "true\n', /config\.yaml:\d+:\d+: no valid YAML/],
    ['token: secret\n\tembedded-registry: true\n', /config\.yaml:2:\d+: no valid YAML/],
    ['token: [secret\n', /config\.yaml:\d+:\d+: no valid YAML/],
    ['- secret\n', /config\.yaml: not "key: value" lines/],
    ['secret', /config\.yaml: not "key: value" lines/],
  ] as const) {
    it(`says where ${JSON.stringify(text)} is wrong, and quotes nothing of it`, () => {
      assert.throws(
        () => isEmbeddedRegistryOn(text, FILE),
        (error: unknown) => {
          assert.ok(error instanceof Error);
          assert.match(error.message, place);
          assert.doesNotMatch(error.message, /secret/);
          return true;
        },
      );
    });
  }
});
