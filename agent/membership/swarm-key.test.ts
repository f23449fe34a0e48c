import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  formatSwarmKey,
  MAX_KEYS,
  MIN_PASSPHRASE,
  newSwarmKey,
  parseSwarmKeys,
  SwarmKeyFormatError,
} from './swarm-key.ts';

const DIGITS = 'ab'.repeat(32);
const FILE = `/key/swarm/psk/1.0.0/\n/base16/\n${DIGITS}\n`;
const PASSPHRASE = 'correct horse battery staple and more';

const hex = (text: string) =>
  parseSwarmKeys(text).map(({ bytes }) => Buffer.from(bytes).toString('hex'));

describe('parseSwarmKeys', () => {
  it('reads the file of libp2p, with any line ends', () => {
    assert.deepEqual(hex(FILE), [DIGITS]);
    assert.deepEqual(hex(FILE.trimEnd().replaceAll('\n', '\r\n')), [DIGITS]);
  });

  it('derives the same key from the same passphrase, and another from another', () => {
    const [key, other] = [hex(`${PASSPHRASE}\n`), hex(`${PASSPHRASE}!`)];
    assert.deepEqual(key, ['250a9f90753089b60c16f1bf354a21311988beb888f2665cf8301c39b9f36881']);
    assert.deepEqual(hex(PASSPHRASE), key);
    assert.notDeepEqual(other, key);
  });

  it('reads several keys in their order', () => {
    const [derived = ''] = hex(PASSPHRASE);
    assert.deepEqual(hex(`${PASSPHRASE}\n${FILE}`), [derived, DIGITS]);
    assert.deepEqual(hex(`${FILE}\n${PASSPHRASE}`), [DIGITS, derived]);
  });

  for (const [what, text, message] of [
    ['nothing', ' \n', /^is empty$/],
    ['a short passphrase', 'x'.repeat(MIN_PASSPHRASE - 1), /31 characters; at least 32/],
    ['a long line', 'x'.repeat(2000), /more than 1024/],
    ['another encoding', FILE.replace('base16', 'base64'), /not encoded as \/base16\//],
    ['digits that are missing', FILE.slice(0, -3), /not 64 hexadecimal digits/],
    ['half a header', '/key/swarm/psk/1.0.0/', /not encoded as/],
    ['a version that does not exist', FILE.replace('1.0.0', '2.0.0'), /begins with "\/"/],
    ['the same key twice', FILE + FILE, /the same key twice/],
    ['too many', `${PASSPHRASE}\n`.repeat(MAX_KEYS + 1), /more than 4 keys/],
  ] as const) {
    it(`refuses ${what}, without a word of it in the message`, () => {
      assert.throws(
        () => parseSwarmKeys(text),
        (error) => {
          assert.ok(error instanceof SwarmKeyFormatError);
          assert.match(error.message, message);
          assert.ok(!error.message.includes('ab'.repeat(4)));
          return true;
        },
      );
    });
  }
});

describe('newSwarmKey', () => {
  it('makes a key that the file of libp2p can hold', () => {
    const key = newSwarmKey();
    const [read] = parseSwarmKeys(formatSwarmKey(key));
    assert.deepEqual(read?.bytes, key.bytes);
    assert.equal(read.fingerprint, key.fingerprint);
    assert.match(key.fingerprint, /^[0-9a-f]{8}$/);
    assert.notEqual(newSwarmKey().fingerprint, key.fingerprint);
  });
});
