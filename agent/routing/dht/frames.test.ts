import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { encodeVarint, frame, FrameDecoder, FrameError } from './frames.ts';

describe('encodeVarint', () => {
  it('encodes unsigned LEB128', () => {
    assert.deepEqual(encodeVarint(0), [0]);
    assert.deepEqual(encodeVarint(127), [0x7f]);
    assert.deepEqual(encodeVarint(300), [0xac, 0x02]);
  });
});

describe('FrameDecoder', () => {
  it('finds messages of every length, whatever the chunks of the stream', () => {
    const messages = [0, 1, 127, 128, 300, 70_000].map((length) => new Uint8Array(length).fill(7));
    const bytes = Buffer.concat(messages.map(frame));
    for (const size of [1, 2, 3, 1000, bytes.length]) {
      const decoder = new FrameDecoder(100_000);
      const read: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += size) {
        read.push(...decoder.push(bytes.subarray(at, at + size)));
      }
      assert.deepEqual(
        read.map(({ length }) => length),
        messages.map(({ length }) => length),
      );
    }
  });

  it('joins a long message once, however many its chunks', (t) => {
    const bytes = frame(new Uint8Array(100_000));
    const decoder = new FrameDecoder(100_000);
    const concat = t.mock.method(Buffer, 'concat');
    let messages = 0;
    for (let at = 0; at < bytes.length; at += 100) {
      messages += decoder.push(bytes.subarray(at, at + 100)).length;
    }
    assert.equal(messages, 1);
    assert.equal(concat.mock.callCount(), 1);
  });

  it('returns the messages as they were framed, whatever the chunks', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }),
        fc.integer({ min: 1, max: 64 }),
        (messages, size) => {
          const bytes = Buffer.concat(messages.map(frame));
          const decoder = new FrameDecoder(300);
          const out: Uint8Array[] = [];
          for (let at = 0; at < bytes.length; at += size) {
            out.push(...decoder.push(bytes.subarray(at, at + size)));
          }
          assert.deepEqual(
            out.map((message) => Buffer.from(message)),
            messages.map((message) => Buffer.from(message)),
          );
        },
      ),
    );
  });

  it('refuses a frame beyond the bound by its length prefix alone', () => {
    const decoder = new FrameDecoder(1000);
    assert.throws(() => decoder.push(Uint8Array.of(0xe9, 0x07)), FrameError);
    assert.throws(
      () => new FrameDecoder(1000).push(Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x80, 0x80)),
      FrameError,
    );
  });

  it('has the code ERR_FRAME in its errors', () => {
    assert.throws(() => new FrameDecoder(100).push(Uint8Array.of(101)), { code: 'ERR_FRAME' });
  });
});
