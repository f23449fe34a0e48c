import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe } from 'node:test';

import { fuzz } from '../../testing/fuzz/fuzz.ts';
import { formatSwarmKey, MAX_KEYS, parseSwarmKeys, SwarmKeyFormatError } from '../swarm-key.ts';

const KEY = `/key/swarm/psk/1.0.0/\n/base16/\n${'0123456789abcdef'.repeat(4)}\n`;

describe('the file of the swarm key', () => {
  fuzz(join(import.meta.dirname, 'corpus'), {
    name: 'swarm keys',
    seeds: [
      KEY,
      KEY + KEY.replace('0123', '4567'),
      KEY.replaceAll('\n', '\r\n'),
      'correct horse battery staple, long\n',
    ],
    words: [
      '/key/swarm/psk/1.0.0/\n',
      '/base16/\n',
      '/base64/\n',
      '0123456789abcdef'.repeat(4),
      '\n',
    ],
    errors: [SwarmKeyFormatError],
    // A passphrase takes 50 ms.
    iterations: 400,
    parse: (input) => parseSwarmKeys(input.toString('utf8')),
    check(keys) {
      assert.ok(keys.length > 0 && keys.length <= MAX_KEYS);
      for (const { bytes } of keys) assert.equal(bytes.length, 32);
      assert.deepEqual(parseSwarmKeys(keys.map(formatSwarmKey).join('')), keys);
    },
  });
});
