import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SimulatedNetwork } from '../../testing/simulated-network.ts';
import { closest, K } from '../dht/kademlia.ts';
import type { DhtPeer } from '../node/membership.ts';
import { MembershipChange } from './membership-change.ts';

const { peers } = await SimulatedNetwork.open(104);
const points = Array.from({ length: 500 }, (_, at) => ({ prefix: at * 8_589_934 }));
const nearest = (prefix: number, members: readonly DhtPeer[]) =>
  closest(prefix, members, K).map(({ text }) => text);

describe('MembershipChange', () => {
  for (const [what, before, after] of [
    ['come', peers.slice(2), peers],
    ['go', peers, peers.slice(3)],
    ['are replaced', peers.slice(2), peers.slice(0, 102)],
  ] as const) {
    it(`concerns the keys whose closest peers are others after some ${what}, and few more`, () => {
      const change = new MembershipChange(before, after);
      const concerned = points.filter((point) => change.concerns(point));
      const changed = points.filter(
        ({ prefix }) => String(nearest(prefix, before)) !== String(nearest(prefix, after)),
      );
      for (const point of changed) assert.ok(concerned.includes(point));
      assert.ok(concerned.length <= changed.length * 1.1);
      assert.ok(concerned.length < points.length);
    });
  }

  it('concerns no key when the members are the same', () => {
    const change = new MembershipChange(peers, peers.toReversed());
    assert.ok(!points.some((point) => change.concerns(point)));
  });

  it('concerns all keys when many members have come', () => {
    const change = new MembershipChange([], peers);
    assert.ok(points.every((point) => change.concerns(point)));
  });
});
