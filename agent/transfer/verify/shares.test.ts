import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { deliverersOfWrong, ShareHashes, Shares, type Share } from './shares.ts';

function share(peerId: string, start: number, end: number): Share {
  return { peerId, range: { start, end } };
}

function sharesOf(...delivered: readonly Share[]): Shares {
  const shares = new Shares();
  for (const { peerId, range } of delivered) shares.add(peerId, range);
  return shares;
}

function digestsOf(shares: readonly Share[], bytes: Buffer, chunk = bytes.length): string[] {
  const hashes = new ShareHashes(shares);
  for (let at = 0; at < bytes.length; at += chunk) hashes.update(bytes.subarray(at, at + chunk));
  return [...hashes.digests];
}

describe('Shares', () => {
  it('joins what one peer delivers in a row, and ignores what is empty', () => {
    const shares = sharesOf(share('a', 0, 9), share('a', 10, 19), share('b', 20, 19));
    assert.deepEqual(shares.sole(), [share('a', 0, 19)]);
  });

  it('leaves out bytes that two peers delivered', () => {
    const shares = sharesOf(share('a', 0, 59), share('b', 40, 99));
    assert.deepEqual(shares.sole(), [share('a', 0, 39), share('b', 60, 99)]);
  });

  it('names for each byte its only deliverer', () => {
    const size = 30;
    const delivered = fc
      .tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(size - 1), fc.nat(size - 1))
      .map(([peerId, one, other]) => share(peerId, Math.min(one, other), Math.max(one, other)));
    fc.assert(
      fc.property(fc.array(delivered, { maxLength: 10 }), (all) => {
        const sole = sharesOf(...all).sole();
        for (let byte = 0; byte < size; byte++) {
          const has = ({ range }: Share): boolean => range.start <= byte && byte <= range.end;
          const peers = new Set(all.filter(has).map(({ peerId }) => peerId));
          const named = sole.filter(has).map(({ peerId }) => peerId);
          assert.deepEqual(named, peers.size === 1 ? [...peers] : []);
        }
      }),
    );
  });

  it('knows nothing of a blob of more than 1,000 ranges', () => {
    const all = Array.from({ length: 1_001 }, (_, index) => share(`${index % 2}`, index, index));
    assert.equal(sharesOf(...all.slice(0, 1_000)).sole().length, 1_000);
    assert.deepEqual(sharesOf(...all).sole(), []);
  });
});

describe('ShareHashes', () => {
  it('hashes each share, however its bytes arrive', () => {
    const bytes = randomBytes(1_000);
    const shares = [share('a', 0, 99), share('b', 100, 499), share('a', 700, 999)];
    const expected = shares.map(({ range: { start, end } }) =>
      createHash('sha256')
        .update(bytes.subarray(start, end + 1))
        .digest('hex'),
    );
    for (const chunk of [1, 7, 100, 650, 1_000]) {
      assert.deepEqual(digestsOf(shares, bytes, chunk), expected);
    }
  });

  it('has no digest of a share whose bytes are missing', () => {
    const shares = [share('a', 0, 9), share('b', 10, 19)];
    assert.equal(digestsOf(shares, randomBytes(19)).length, 1);
  });
});

describe('deliverersOfWrong', () => {
  it('names the peers whose bytes differ from the right ones', () => {
    const right = randomBytes(100);
    const wrong = Buffer.from(right);
    wrong.writeUInt8(wrong.readUInt8(50) ^ 1, 50);
    const shares = [share('honest', 0, 39), share('liar', 40, 99)];
    const delivered = { shares, digests: digestsOf(shares, wrong) };
    assert.deepEqual([...deliverersOfWrong(delivered, digestsOf(shares, right))], ['liar']);
    assert.deepEqual([...deliverersOfWrong(delivered, delivered.digests)], []);
    assert.deepEqual([...deliverersOfWrong({ shares, digests: [] }, digestsOf(shares, right))], []);
  });
});
