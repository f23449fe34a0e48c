import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';

import { firstBytes } from './first-bytes.ts';

const signal = new AbortController().signal;

describe('firstBytes', () => {
  it('resolves when bytes are there, and takes none of them', async () => {
    const stream = new PassThrough();
    const first = firstBytes(stream, signal);
    stream.end('abc');
    await first;
    assert.equal(await text(stream), 'abc');
  });

  it('resolves at the end of an empty stream', async () => {
    await firstBytes(Readable.from([]), signal);
  });

  it('rejects with the failure of the stream', async () => {
    const stream = new Readable({
      read() {
        this.destroy(new Error('disk'));
      },
    });
    await assert.rejects(firstBytes(stream, signal), /disk/);
  });

  it('destroys the stream and rejects with the reason of a signal that is aborted', async () => {
    const gone = new AbortController();
    const stream = new PassThrough();
    const first = firstBytes(stream, gone.signal);
    gone.abort(new Error('left'));
    await assert.rejects(first, /left/);
    assert.ok(stream.destroyed);
    const late = new PassThrough();
    await assert.rejects(firstBytes(late, gone.signal), /left/);
    assert.ok(late.destroyed);
  });
});
