import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FrameError } from '../../routing/dht/frames.ts';
import { field, numberField } from '../../routing/dht/protobuf.ts';
import { Fields, textField } from './fields.ts';

const message = (...parts: Uint8Array[]): Fields => new Fields(Buffer.concat(parts));

describe('Fields', () => {
  it('are found by their number; of one that is there twice the last counts', () => {
    const read = message(
      numberField(1, 7),
      textField(2, 'a'),
      textField(2, 'b'),
      numberField(1, 8),
    );
    assert.equal(read.number(1), 8);
    assert.equal(read.text(2, 1), 'b');
    assert.deepEqual(read.texts(2, 1, 1), ['a']);
    assert.deepEqual(
      [read.number(3), read.text(3, 1), read.bytes(3, 1)],
      [undefined, undefined, []],
    );
  });

  it('are refused beyond their bounds, and where they are no text or no message', () => {
    const long = message(textField(1, 'ab'), field(2, Uint8Array.of(0xff)));
    assert.throws(() => long.text(1, 1), FrameError);
    assert.throws(() => long.text(2, 9), FrameError);
    assert.throws(() => new Fields(new Uint8Array(9).fill(0xff)), FrameError);
  });
});
