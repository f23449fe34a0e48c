import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { GatheredReads } from './gathered-reads.ts';

/** A reader that takes all bytes, or has enough. */
function start(wantsMore = true) {
  const chunks: Buffer[] = [];
  let pauses = 0;
  const reads = new GatheredReads({
    arrived: (chunk) => {
      chunks.push(chunk);
      return wantsMore;
    },
    pause: () => {
      pauses += 1;
    },
  });
  /** Reads a part as Node.js does. */
  const read = (part: Buffer, atOnce = false, bytes?: number): boolean => {
    part.copy(reads.room(bytes));
    return reads.filled(part.length, atOnce);
  };
  return { reads, read, chunks, pauses: () => pauses };
}

const part = (text: string, length = text.length): Buffer => Buffer.alloc(length, text);

describe('GatheredReads', () => {
  it('hand over together what was read at one time', async () => {
    const { read, chunks } = start();
    assert.ok(read(part('one')));
    assert.ok(read(part('two')));
    assert.deepEqual(chunks, []);
    await nextTurn();
    read(part('three'));
    await nextTurn();
    assert.deepEqual(chunks.map(String), ['onetwo', 'three']);
  });

  it('hand over a full buffer at once, and begin another one', async () => {
    const { read, chunks } = start();
    for (const text of ['a', 'b', 'c']) read(part(text, 8), false, 16);
    assert.deepEqual(chunks.map(String), ['aaaaaaaabbbbbbbb']);
    await nextTurn();
    assert.equal(String(chunks[1]), 'cccccccc');
    assert.equal(String(chunks[0]), 'aaaaaaaabbbbbbbb', 'what a reader has is not written again');
  });

  it('do not wait where they are not to', () => {
    const { read, reads, chunks } = start();
    read(part('one'));
    assert.equal(reads.pending, 3);
    read(part('two'), true);
    assert.equal(reads.pending, 0);
    assert.deepEqual(chunks.map(String), ['onetwo']);
  });

  it('stop the reading when the reader has enough, at once or later', async () => {
    const { read, pauses } = start(false);
    assert.equal(read(part('one')), true);
    await nextTurn();
    assert.equal(pauses(), 1);
    assert.equal(read(part('two'), true), false);
    assert.equal(pauses(), 1);
  });

  it('keep what comes for a reader that has enough until it wants more', async () => {
    const { reads, read, chunks } = start(false);
    read(part('one'), true);
    for (const text of ['two', 'three']) assert.equal(read(part(text)), false);
    await nextTurn();
    assert.deepEqual(chunks.map(String), ['one']);
    reads.resume();
    await nextTurn();
    assert.deepEqual(chunks.map(String), ['one', 'twothree']);
  });

  it('read into the same memory again that the reader has released, and into no other', () => {
    const { reads, read, chunks } = start();
    const size = reads.room().length;
    const buffers = (): number => new Set(chunks.map(({ buffer }) => buffer)).size;
    for (let turn = 0; turn < 3; turn += 1) read(part('a', size));
    assert.equal(buffers(), 3);
    assert.equal(chunks[0]?.toString('latin1', 0, 2), 'aa');
    read(part('b', size / 2), true);
    const [, second, , half] = chunks;
    assert.ok(second && half);
    // The buffer of the other half is not full, so it is not given again.
    reads.release(half);
    reads.release(second);
    read(part('c', size / 2), true);
    read(part('d', size));
    assert.equal(chunks.at(-1)?.buffer, second.buffer);
    assert.equal(buffers(), 4);
    assert.equal(chunks[0].toString('latin1', 0, 2), 'aa', 'not released');
  });

  it('have a small buffer again where that is asked for', () => {
    const { reads, read } = start();
    read(part('one'), true);
    assert.ok(reads.room().length > 16_384);
    assert.equal(reads.room(16_384).length, 16_384);
  });

  it('hand over nothing after they were stopped', async () => {
    const { reads, read, chunks } = start();
    read(part('one'));
    reads.stop();
    await nextTurn();
    reads.flush();
    assert.deepEqual(chunks, []);
  });
});
