import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import type { Provider } from '../../routing/router.ts';
import { choosePeer, type PeerWeights } from './choose-peer.ts';
import type { Nearness } from './peer-score.ts';

interface Peer {
  readonly near?: Nearness;
  readonly busy?: boolean;
  readonly load?: number;
  readonly throughput?: number;
}

const provider = (peerId: string): Provider => ({ peerId, origins: [`http://${peerId}:5000`] });

function weigh(peers: Record<string, Peer>): PeerWeights {
  return {
    isBusy: (peerId) => peers[peerId]?.busy ?? false,
    nearness: (peerId) => peers[peerId]?.near ?? 'unknown',
    load: (peerId) => peers[peerId]?.load ?? 0,
    throughput: (peerId) => peers[peerId]?.throughput,
  };
}

/** How often each is chosen in 200 draws. */
function draw(peers: Record<string, Peer>): Map<string, number> {
  const chosen = new Map<string, number>();
  const candidates = Object.keys(peers).map(provider);
  for (let round = 0; round < 200; round++) {
    const { peerId } = choosePeer(candidates, weigh(peers)) ?? provider('none');
    chosen.set(peerId, (chosen.get(peerId) ?? 0) + 1);
  }
  return chosen;
}

describe('choosePeer', () => {
  it('chooses no peer of none, and the only one in any state', () => {
    assert.equal(choosePeer([], weigh({})), undefined);
    assert.deepEqual([...draw({ a: { busy: true, near: 'other' } }).keys()], ['a']);
  });

  it('prefers the same zone to an unknown one, and that to another, whatever the load', () => {
    const near = { near: 'same', load: 9 } as const;
    const far = { near: 'other', load: 0 } as const;
    assert.deepEqual([...draw({ far, stranger: {}, near }).keys()], ['near']);
    assert.deepEqual([...draw({ far, stranger: { load: 9 } }).keys()], ['stranger']);
  });

  it('prefers a peer of another zone to a busy one of the same zone', () => {
    const near = { near: 'same', busy: true } as const;
    assert.deepEqual([...draw({ near, far: { near: 'other' } }).keys()], ['far']);
  });

  it('prefers the less loaded of two peers, and then the faster', () => {
    assert.deepEqual([...draw({ a: { load: 2 }, b: { load: 1 } }).keys()], ['b']);
    assert.deepEqual([...draw({ a: { throughput: 5 }, b: { throughput: 9 } }).keys()], ['b']);
  });

  it('never chooses the most loaded of several, and not always the least loaded', () => {
    const chosen = draw({ a: { load: 0 }, b: { load: 1 }, c: { load: 2 }, d: { load: 3 } });
    assert.equal(chosen.get('d'), undefined);
    assert.ok((chosen.get('a') ?? 0) < 200 && (chosen.get('b') ?? 0) > 0);
  });

  it('spreads its choices over peers about which nothing is known', () => {
    assert.equal(draw({ a: {}, b: {}, c: {}, d: {} }).size, 4);
  });

  it('always chooses one of the candidates, of the best rank', () => {
    const peer = fc.record({
      near: fc.constantFrom<Nearness>('same', 'unknown', 'other'),
      busy: fc.boolean(),
      load: fc.nat(5),
    });
    const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
    fc.assert(
      fc.property(fc.array(peer, { minLength: 1, maxLength: 8 }), random, (peers, number) => {
        const weighed = weigh(Object.fromEntries(peers.map((it, index) => [`${index}`, it])));
        const candidates = peers.map((_, index) => provider(`${index}`));
        const chosen = choosePeer(candidates, weighed, () => number);
        const it = peers[Number(chosen?.peerId)];
        assert.ok(it !== undefined);
        if (it.busy) assert.ok(peers.every(({ busy }) => busy));
        if (it.near !== 'same' && !it.busy) {
          assert.ok(peers.every(({ busy, near }) => busy || near !== 'same'));
        }
      }),
    );
  });
});
