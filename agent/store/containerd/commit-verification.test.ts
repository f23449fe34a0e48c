import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { isAsCommitted } from './commit-verification.ts';

const COMMIT = Date.UTC(2026, 1, 3);
const at = (milliseconds: number): bigint => BigInt(COMMIT + milliseconds) * 1_000_000n;

describe('isAsCommitted', () => {
  it('is true for a file that was last changed right before its commit, and for no other', () => {
    for (const [mtime, ctime, expected] of [
      [-1, 0, true],
      [-20, -16, true],
      [0, 1, true],
      // Changed later; with the modification time set back; taken over as it was.
      [500, 500, false],
      [-1, 60_000, false],
      [-60_000, -60_000, false],
      [-60_000, -1, false],
    ] as const) {
      const state = { ino: 1n, size: 1n, mtimeNs: at(mtime), ctimeNs: at(ctime) };
      assert.equal(isAsCommitted(state, COMMIT), expected, `${mtime} ${ctime}`);
    }
  });
});
