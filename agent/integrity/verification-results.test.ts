import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { digestOf } from '../testing/conformance/content-store.ts';
import { stateOf, VerificationResults, type VerificationResult } from './verification-results.ts';

const A = digestOf(Buffer.from('a'));
const B = digestOf(Buffer.from('b'));
const RIGHT: VerificationResult = { state: '1:2:3:4', finding: 'right', checkedAt: 1 };

describe('VerificationResults', () => {
  it('keeps the latest result of each blob, the oldest first', () => {
    const results = new VerificationResults();
    results.set(A, { ...RIGHT, finding: 'wrong' });
    results.set(B, RIGHT);
    results.set(A, RIGHT);
    assert.deepEqual(
      [...results.entries()],
      [
        [B, RIGHT],
        [A, RIGHT],
      ],
    );
  });

  it('changes its revision with each result, and when it removes one', () => {
    const results = new VerificationResults();
    const revisions = [results.revision];
    const note = (): number => revisions.push(results.revision);
    results.set(A, RIGHT);
    note();
    results.set(A, RIGHT);
    note();
    results.retain(new Set([B]));
    note();
    assert.equal(new Set(revisions).size, 4);
    assert.equal(results.size, 0);
    results.retain(new Set([B]));
    assert.equal(results.revision, revisions.at(-1), 'nothing was removed');
  });
});

describe('stateOf', () => {
  it('differs when any of inode, size, modification time or change time differs', () => {
    const state = { ino: 1n, size: 2n, mtimeNs: 3n, ctimeNs: 4n };
    const of = (change: Partial<typeof state>): string =>
      stateOf({ size: 2, file: { path: '/any', state: { ...state, ...change } } });
    const states = [{}, { ino: 9n }, { size: 9n }, { mtimeNs: 9n }, { ctimeNs: 9n }].map(of);
    assert.equal(new Set(states).size, 5);
    assert.equal(of({}), '1:2:3:4');
  });

  it('of a blob without a file differs only by size', () => {
    assert.equal(stateOf({ size: 5 }), '-:5:-:-');
  });
});
