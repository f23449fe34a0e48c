import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isNodeLocalRegistry } from './node-local-registry.ts';

describe('isNodeLocalRegistry', () => {
  for (const registry of [
    'localhost',
    'localhost:30500',
    'LOCALHOST:5000',
    'registry.localhost',
    'registry.localhost:5000',
    'localhost.localdomain:5000',
    'localhost6:5000',
    'ip6-loopback:5000',
    '127.0.0.1',
    '127.255.0.9:5000',
    '127.1:5000',
    '0.0.0.0:5000',
    '[::1]',
    '[::1]:5000',
    '[0:0:0:0:0:0:0:1]:5000',
    '[::ffff:7f00:1]:5000',
    '[::]:5000',
    '::1',
  ]) {
    it(`is ${registry}`, () => {
      assert.equal(isNodeLocalRegistry(registry), true);
    });
  }

  for (const registry of [
    '',
    'docker.io',
    'localhost.example',
    'notlocalhost:5000',
    'localhost-cache:5000',
    '127.example:5000',
    '128.0.0.1:5000',
    '10.127.0.1:5000',
    '[fd00::1]:5000',
    '[::11]:5000',
    '[fe80::1]',
    '[::ffff:a00:1]:5000',
  ]) {
    it(`is not ${registry || 'the empty name'}`, () => {
      assert.equal(isNodeLocalRegistry(registry), false);
    });
  }
});
