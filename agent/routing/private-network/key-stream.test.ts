import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { KeyStream } from './key-stream.ts';

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('KeyStream', () => {
  it('is XSalsa20', () => {
    // NaCl, "Cryptography in NaCl", section 10: firstkey, nonce and the first 32 bytes of the stream.
    const key = Buffer.from(
      '1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389',
      'hex',
    );
    const nonce = Buffer.from('69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37', 'hex');
    const stream = new KeyStream(key, nonce).xor(new Uint8Array(32));
    assert.equal(hex(stream), 'eea6a7251c1e72916d11c2cb214d3c252539121d8e234e652d651fa4c8cff880');
  });

  it('goes on where it was, however the data is divided', () => {
    const [key, nonce, data] = [randomBytes(32), randomBytes(24), randomBytes(1000)];
    const whole = hex(new KeyStream(key, nonce).xor(data));
    for (const sizes of [
      [1, 63, 64, 65, 807],
      [64, 936],
      [999, 1],
      [500, 0, 500],
    ]) {
      const stream = new KeyStream(key, nonce);
      let at = 0;
      const parts = sizes.map((size) => stream.xor(data.subarray(at, (at += size))));
      assert.equal(hex(Buffer.concat(parts)), whole);
    }
  });
});
