import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe } from 'node:test';

import { fuzz } from '../../testing/fuzz/fuzz.ts';
import { parseChallenges } from '../auth/challenge.ts';
import { isOfRegistry, realmOf } from '../auth/realm.ts';
import { addressClass, literalAddress } from '../client/address-class.ts';
import { authFor, parseDockerConfig } from '../where/docker-config.ts';

const CORPORA = join(import.meta.dirname, 'corpus');
const REGISTRY = new URL('https://registry-1.docker.io');

describe('what registries and files of credentials say', () => {
  fuzz(CORPORA, {
    name: 'challenges',
    seeds: [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"',
      'Bearer realm="https://a.example/v2/token", Basic realm="Artifactory Realm"',
      'Negotiate YII/abc==, Basic realm = "x" , charset=UTF-8',
    ],
    words: ['Bearer ', 'Basic ', 'realm=', '"', '\\"', ',', '='],
    errors: [],
    parse: (input) => parseChallenges(input.toString('latin1')),
    check(challenges) {
      for (const { parameters } of challenges) {
        const realm = realmOf(parameters.get('realm'), REGISTRY);
        if (realm === undefined) continue;
        assert.equal(realm.protocol, 'https:');
        if (isOfRegistry(realm, REGISTRY)) assert.match(realm.hostname, /(?:^|\.)docker\.io$/);
      }
    },
  });

  fuzz(CORPORA, {
    name: 'addresses of redirects',
    seeds: [
      'http://127.0.0.1/x',
      'https://[::ffff:10.0.0.1]:8080/',
      'http://0x7f.1/',
      'http://[64:ff9b::a00:1]',
    ],
    words: ['127.0.0.1', '[::1]', '0x', '%', '@', '::ffff:', '64:ff9b::', '169.254.169.254'],
    errors: [],
    parse: (input) => {
      const text = input.toString('latin1');
      const address = URL.canParse(text) ? literalAddress(new URL(text).hostname) : undefined;
      return address === undefined ? undefined : { address, kind: addressClass(address) };
    },
    check(found) {
      if (found?.address.startsWith('127.') === true) assert.equal(found.kind, 'loopback');
      if (found?.address.startsWith('10.') === true) assert.equal(found.kind, 'private');
    },
  });

  fuzz(CORPORA, {
    name: 'docker configs',
    seeds: [
      `{"auths":{"https://index.docker.io/v1/":{"auth":"${btoa('u:p')}"},"ghcr.io/team":{"username":"u","password":"p"}}}`,
      '{"auths":{"a.example:443":{"identitytoken":"t"}},"credsStore":"x","credHelpers":{"gcr.io":"gcloud"}}',
    ],
    words: ['"auths"', '"auth"', 'null', '{}', '[]', '__proto__', 'https://'],
    errors: [Error],
    parse: (input) => parseDockerConfig(input.toString('latin1')),
    check(config) {
      for (const { host, path } of config.auths) {
        assert.ok(authFor(config, host, path === '' ? 'a' : path) !== undefined);
      }
    },
  });
});
