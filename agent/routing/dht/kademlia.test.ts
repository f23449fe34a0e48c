import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import fc from 'fast-check';

import { bucketOf, closest, isAmongClosest, kadIdOf, K, peerBytes, prefixOf } from './kademlia.ts';

describe('kadIdOf', () => {
  it("is the SHA2-256 of the peer ID's multihash, as in the specification", async () => {
    const peerId = peerIdFromPrivateKey(await generateKeyPair('Ed25519'));
    const digest = createHash('sha256').update(peerId.toMultihash().bytes).digest();
    assert.deepEqual(Buffer.from(kadIdOf(peerId)), digest);
    assert.equal(prefixOf(digest), digest.readUInt32BE());
  });
});

describe('peerBytes', () => {
  it('reads its own part of a larger buffer', () => {
    const bytes = Uint8Array.of(1, 2, 0xff, 4);
    assert.equal(peerBytes(bytes.subarray(1, 3)), '\u0002\u00ff');
  });
});

describe('isAmongClosest', () => {
  it('agrees with closest', () => {
    const prefix = fc.nat({ max: 2 ** 32 - 1 });
    fc.assert(
      fc.property(prefix, fc.uniqueArray(prefix, { minLength: 1 }), (target, prefixes) => {
        const [self = { prefix: 0 }, ...others] = prefixes.map((each) => ({ prefix: each }));
        const expected = closest(target, [self, ...others], 3).includes(self);
        assert.equal(isAmongClosest(self, target, others, 3), expected);
      }),
    );
  });
});

describe('bucketOf', () => {
  it('is the number of leading bits that both share', () => {
    assert.equal(bucketOf({ prefix: 0 }, { prefix: 2 ** 31 }), 0);
    assert.equal(bucketOf({ prefix: 0b1010 }, { prefix: 0b1001 }), 30);
    assert.equal(bucketOf({ prefix: 7 }, { prefix: 7 }), 32);
  });
});

describe('closest', () => {
  it('returns the candidates with the smallest XOR distances, closest first', () => {
    const prefix = fc.nat({ max: 2 ** 32 - 1 });
    fc.assert(
      fc.property(prefix, fc.uniqueArray(prefix, { maxLength: 60 }), (target, prefixes) => {
        const candidates = prefixes.map((each) => ({ prefix: each }));
        const distance = (each: { prefix: number }): number => (target ^ each.prefix) >>> 0;
        const sorted = candidates.toSorted((a, b) => distance(a) - distance(b)).slice(0, K);
        assert.deepEqual(closest(target, candidates, K), sorted);
      }),
    );
  });

  it('returns all candidates when there are fewer than asked for', () => {
    assert.deepEqual(closest(0, [{ prefix: 2 }, { prefix: 1 }], K), [{ prefix: 1 }, { prefix: 2 }]);
    assert.deepEqual(closest(0, [], K), []);
  });
});
