import assert from 'node:assert/strict';
import { test } from 'node:test';

import { frame, FrameDecoder } from './frames.ts';

test('messages are found however the bytes are cut', () => {
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

test('a long message in many chunks is put together once', (t) => {
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

test('a message that is too long is an error as soon as its length is known', () => {
  assert.throws(() => new FrameDecoder(100).push(Uint8Array.of(101)), { code: 'ERR_FRAME' });
});
