import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { NonceWindows } from './nonce-windows.ts';

describe('NonceWindows', () => {
  it('takes each counter once, in whatever order, as a set would', () => {
    const windows = new NonceWindows();
    const used = new Set<number>();
    let seed = 7;
    let highest = 0;
    for (let round = 0; round < 50_000; round += 1) {
      seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
      // Around the highest one, and sometimes far beyond it.
      const step = seed % 1_000 === 0 ? 5_000 : (seed % 1_200) - 1_000;
      const counter = Math.max(1, highest + step);
      const isNew = !used.has(counter) && counter > highest - 2_048;
      assert.equal(windows.use('peer', 'prefix', counter), isNew, `${counter} of ${highest}`);
      used.add(counter);
      highest = Math.max(highest, counter);
    }
  });

  it('counts peers and prefixes each on its own', () => {
    const windows = new NonceWindows();
    assert.ok(windows.use('a', 'x', 1));
    assert.ok(windows.use('b', 'x', 1));
    assert.ok(windows.use('a', 'y', 1));
    assert.ok(!windows.use('a', 'x', 1));
  });

  it('remembers the four newest prefixes of a peer', () => {
    const windows = new NonceWindows();
    for (const prefix of ['a', 'b', 'c', 'd', 'e']) assert.ok(windows.use('peer', prefix, 1));
    for (const prefix of ['b', 'c', 'd', 'e']) assert.ok(!windows.use('peer', prefix, 1), prefix);
  });
});
