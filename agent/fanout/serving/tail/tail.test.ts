import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { BLOCK_BYTES, Blocks } from './blocks.ts';
import { Tail } from './tail.ts';

const BYTES = randomBytes(20 * BLOCK_BYTES);
const MAX = 4 * BLOCK_BYTES;

function makeTail(blocks = 4): { readonly tail: Tail; readonly pool: Blocks } {
  const pool = new Blocks({ max: blocks });
  return { tail: new Tail(pool, { maxBytes: MAX }), pool };
}

/** All that can be read from `offset` on. */
function readAll(tail: Tail, offset: number, end = Infinity): Buffer {
  const parts: Buffer[] = [];
  for (let at = offset; ;) {
    const chunk = tail.read(at, end);
    if (chunk === undefined) return Buffer.concat(parts);
    assert.ok(chunk.bytes.length > 0);
    parts.push(Buffer.from(chunk.bytes));
    at += chunk.bytes.length;
    chunk[Symbol.dispose]();
  }
}

describe('Tail', () => {
  it('has the last bytes of what was appended, at their offsets', () => {
    fc.assert(
      fc.property(
        fc.nat(1_000_000),
        fc.array(fc.integer({ min: 1, max: 3 * BLOCK_BYTES }), { maxLength: 30 }),
        fc.nat(MAX + BLOCK_BYTES),
        fc.nat(2 * BLOCK_BYTES),
        (first, lengths, back, length) => {
          const { tail, pool } = makeTail();
          let sent = 0;
          for (const size of lengths) {
            const bytes = BYTES.subarray(sent, sent + size);
            if (bytes.length === 0) break;
            tail.append(first + sent, bytes);
            sent += bytes.length;
            assert.ok(tail.end - tail.start <= MAX && pool.used <= 4);
            assert.ok(tail.end - tail.start >= Math.min(sent, MAX - BLOCK_BYTES + 1));
          }
          if (sent === 0) return;
          assert.equal(tail.end, first + sent);
          const offset = Math.max(first, tail.end - back);
          const end = Math.min(tail.end, offset + length);
          if (offset < tail.start) assert.equal(tail.read(offset, end), undefined);
          else
            assert.ok(
              readAll(tail, offset, end).equals(BYTES.subarray(offset - first, end - first)),
            );
        },
      ),
    );
  });

  it('is a window of the last stream, in whatever order bytes are appended', () => {
    const step = fc.record({
      at: fc.nat(15 * BLOCK_BYTES),
      length: fc.integer({ min: 1, max: 5 * BLOCK_BYTES }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), fc.boolean(), (steps, goesOn) => {
        const { tail } = makeTail();
        for (const { at, length } of steps) {
          const offset = goesOn && !tail.isEmpty ? Math.max(0, tail.end - (at % 1_000)) : at;
          const bytes = BYTES.subarray(offset, offset + length);
          if (bytes.length === 0) continue;
          tail.append(offset, bytes);
          assert.ok(tail.end >= offset + bytes.length);
          assert.ok(readAll(tail, tail.start).equals(BYTES.subarray(tail.start, tail.end)));
        }
      }),
    );
  });

  it('leaves out what it has already, and does not begin anew for that', () => {
    const { tail } = makeTail();
    tail.append(100, BYTES.subarray(100, 1_000));
    tail.append(500, BYTES.subarray(500, 2_000));
    tail.append(600, BYTES.subarray(600, 700));
    assert.deepEqual([tail.start, tail.end, tail.restarts], [100, 2_000, 0]);
    assert.ok(readAll(tail, 100).equals(BYTES.subarray(100, 2_000)));
  });

  it('begins anew with other bytes, and behind a gap', () => {
    const { tail } = makeTail();
    tail.append(0, BYTES.subarray(0, 1_000));
    const other = Buffer.from(BYTES.subarray(500, 600)).fill(0);
    tail.append(500, other);
    assert.deepEqual([tail.start, tail.end, tail.restarts], [500, 600, 1]);
    assert.ok(readAll(tail, 500).equals(other));
    tail.append(1_000, BYTES.subarray(1_000, 1_100));
    assert.deepEqual([tail.start, tail.end, tail.restarts], [1_000, 1_100, 1]);
    tail.append(0, BYTES.subarray(0, 10));
    assert.deepEqual([tail.start, tail.end, tail.restarts], [0, 10, 2]);
  });

  it('does not change what is being read', () => {
    const { tail } = makeTail();
    tail.append(0, BYTES.subarray(0, BLOCK_BYTES));
    const chunk = tail.read(10, 1_000);
    assert.ok(chunk !== undefined);
    tail.append(BLOCK_BYTES, BYTES.subarray(BLOCK_BYTES));
    assert.equal(tail.read(10, 1_000), undefined);
    assert.ok(chunk.bytes.equals(BYTES.subarray(10, 1_000)));
  });

  it('gives up its oldest bytes when others have the memory, and is empty without any', () => {
    const { tail, pool } = makeTail(3);
    const others = [pool.take(), pool.take()];
    tail.append(0, BYTES.subarray(0, BLOCK_BYTES + 10));
    assert.deepEqual([tail.start, tail.end], [BLOCK_BYTES, BLOCK_BYTES + 10]);
    tail.clear();
    others.push(pool.take());
    tail.append(0, BYTES.subarray(0, 10));
    assert.ok(tail.isEmpty);
    assert.equal(tail.end, 10);
    pool.giveBack(others.pop() ?? assert.fail());
    tail.append(10, BYTES.subarray(10, 20));
    assert.ok(readAll(tail, 10).equals(BYTES.subarray(10, 20)));
  });

  it('gathers small chunks for a moment, and wakes at once for a block', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const { tail } = makeTail();
    let woken = 0;
    const wait = (): void => {
      void tail.change().then(() => {
        woken += 1;
      });
    };
    wait();
    for (const at of [0, 10, 20]) tail.append(at, BYTES.subarray(at, at + 10));
    await new Promise(setImmediate);
    assert.equal(woken, 0);
    t.mock.timers.tick(1);
    await new Promise(setImmediate);
    assert.equal(woken, 1);
    wait();
    tail.append(30, BYTES.subarray(30, 30 + BLOCK_BYTES));
    await new Promise(setImmediate);
    assert.equal(woken, 2);
    wait();
    tail.append(30 + BLOCK_BYTES, BYTES.subarray(30 + BLOCK_BYTES, 40 + BLOCK_BYTES));
    tail.flush();
    await new Promise(setImmediate);
    assert.equal(woken, 3);
  });

  it('wakes those who wait when it changes, and gives all memory back', async () => {
    const { tail, pool } = makeTail();
    const changes = [tail.change(), tail.change()];
    tail.append(0, BYTES.subarray(0, 10));
    await Promise.all(changes);
    const cleared = tail.change();
    tail.clear();
    await cleared;
    assert.equal(pool.used, 0);
    assert.equal(tail.read(0, 10), undefined);
  });
});
