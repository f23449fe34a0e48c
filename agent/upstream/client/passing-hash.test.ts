import assert from 'node:assert/strict';
import { Socket } from 'node:net';
import { describe, it } from 'node:test';

import type { Sink } from '../../native/sink.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { sha256 } from '../../testing/image.ts';
import { PassingHash } from './passing-hash.ts';

const BYTES = Buffer.from('the bytes of a blob');
const DESCRIPTOR = { mediaType: MEDIA_TYPE.binary, digest: sha256(BYTES), size: BYTES.length };

/** Hashes on the way to a client that keeps a copy of what it gets. */
function start() {
  const got: string[] = [];
  const sink: Sink = {
    socket: new Socket(),
    write(bytes) {
      got.push(Buffer.from(bytes).toString());
      return Promise.resolve();
    },
    moved: () => undefined,
  };
  const hash = new PassingHash({ sink, mismatch: () => new Error('other bytes') }, DESCRIPTOR);
  return { hash, sink, got };
}

describe('PassingHash', () => {
  it('forwards all but the last bytes, and those when the digest matches', async () => {
    const { hash, sink, got } = start();
    assert.equal(hash.socket, sink.socket);
    for (const part of [BYTES.subarray(0, 5), BYTES.subarray(5, 10), BYTES.subarray(10)]) {
      await hash.write(part);
    }
    assert.deepEqual(got, ['the b', 'ytes ']);
    await hash.finish();
    assert.equal(got.join(''), String(BYTES));
  });

  it('keeps a copy of the bytes that wait', async () => {
    const { hash, got } = start();
    const memory = Buffer.from(BYTES);
    await hash.write(memory);
    memory.fill('x');
    await hash.finish();
    assert.deepEqual(got, [String(BYTES)]);
  });

  it('does not send the last bytes of a body with other ones', async () => {
    const { hash, got } = start();
    const wrong = Buffer.from(BYTES);
    wrong.write('T');
    await hash.write(wrong.subarray(0, 5));
    await hash.write(wrong.subarray(5));
    await assert.rejects(hash.finish(), /other bytes/);
    assert.deepEqual(got, ['The b']);
  });

  it('refuses that bytes pass it by', () => {
    assert.throws(() => {
      start().hash.moved();
    }, /not hashed/);
  });
});
