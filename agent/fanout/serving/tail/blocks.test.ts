import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BLOCK_BYTES, Blocks } from './blocks.ts';

describe('Blocks', () => {
  it('gives no more than its number at once', () => {
    const pool = new Blocks({ max: 2 });
    const [first, second] = [pool.take(), pool.take()];
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(first.bytes.length, BLOCK_BYTES);
    assert.equal(pool.take(), undefined);
    pool.giveBack(first);
    assert.equal(pool.used, 1);
    assert.ok(pool.take() !== undefined);
  });

  it('uses memory again, except what is still read', () => {
    const pool = new Blocks({ max: 3 });
    const [kept, free, read] = [pool.take(), pool.take(), pool.take()];
    assert.ok(kept !== undefined && free !== undefined && read !== undefined);
    read.readers += 1;
    pool.giveBack(free);
    pool.giveBack(read);
    assert.equal(pool.take()?.bytes, free.bytes);
    const other = pool.take()?.bytes;
    assert.ok(other !== undefined && other !== read.bytes);
  });

  it('keeps no memory when none is in use', () => {
    const pool = new Blocks({ max: 1 });
    const block = pool.take();
    assert.ok(block !== undefined);
    pool.giveBack(block);
    assert.equal(pool.used, 0);
    assert.notEqual(pool.take()?.bytes, block.bytes);
  });
});
