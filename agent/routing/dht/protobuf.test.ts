import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FrameError } from './frames.ts';
import { field, fields, numberField } from './protobuf.ts';

describe('fields', () => {
  it('reads what field and numberField write, and skips fixed-size fields', () => {
    const message = Buffer.concat([
      field(1, Uint8Array.of(7, 8)),
      numberField(1000, 2 ** 40 + 3),
      Uint8Array.of((3 << 3) | 5, 1, 2, 3, 4),
      Uint8Array.of((4 << 3) | 1, 1, 2, 3, 4, 5, 6, 7, 8),
      numberField(2, 0),
    ]);
    const read = [...fields(message)].map(({ number, value }) => [
      number,
      typeof value === 'number' ? value : [...value],
    ]);
    assert.deepEqual(read, [
      [1, [7, 8]],
      [1000, 2 ** 40 + 3],
      [2, 0],
    ]);
  });

  for (const [what, bytes] of [
    ['a field longer than the message', [(1 << 3) | 2, 5, 1]],
    ['a number without an end', [1 << 3, ...Array.from({ length: 11 }, () => 0x80)]],
    ['a group', [(1 << 3) | 3]],
  ] as const) {
    it(`refuses ${what}`, () => {
      assert.throws(() => [...fields(Uint8Array.from(bytes))], FrameError);
    });
  }
});
