import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { mutate, SeededRandom } from './mutate.ts';

const INPUT = Buffer.from('a valid input');

function mutations(seed: number): string[] {
  const sources = { random: new SeededRandom(seed), pool: [INPUT], words: [Buffer.from('word')] };
  return Array.from({ length: 500 }, () => mutate(INPUT, sources).toString('hex'));
}

describe('mutate', () => {
  it('makes the same inputs for the same seed, and others for another', () => {
    assert.deepEqual(mutations(1), mutations(1));
    assert.notDeepEqual(mutations(1), mutations(2));
  });

  it('makes many different inputs within its bound, and leaves the first as it was', () => {
    const all = mutations(1);
    assert.ok(new Set(all).size > 400, String(new Set(all).size));
    assert.ok(all.every((hex) => hex.length <= 2 * 16 * 1024));
    assert.ok(all.some((hex) => hex.length > 2 * 4096));
    assert.equal(INPUT.toString(), 'a valid input');
  });

  it('takes an input without bytes', () => {
    const sources = { random: new SeededRandom(3), pool: [Buffer.alloc(0)], words: [] };
    for (let count = 0; count < 500; count++) mutate(Buffer.alloc(0), sources);
  });
});
