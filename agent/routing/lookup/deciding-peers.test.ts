import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { randomPeers } from '../../testing/announcements.ts';
import { halfOf } from '../announce/carrier.ts';
import type { DhtPeer } from '../node/membership.ts';
import { DecidingPeers, QUORUM } from './deciding-peers.ts';

const peers = await randomPeers(40);
const halves = ([0, 1] as const).map((half) => peers.filter((peer) => halfOf(peer) === half));
const textsOf = (some: readonly DhtPeer[]): string[] => some.map(({ text }) => text);

/** @param hosts peer -> its host; without one it is at this host */
function deciding(isLarge: boolean, hosts: ReadonlyMap<DhtPeer, string> = new Map()) {
  const byText = new Map([...hosts].map(([{ text }, host]) => [text, host]));
  const hostOf = ({ text }: { readonly text: string }) => byText.get(text);
  return new DecidingPeers({ membership: { hostOf }, scale: { isLarge } });
}

describe('DecidingPeers', () => {
  it('are the closest three in a small network', () => {
    assert.deepEqual(textsOf(deciding(false).of(peers)), textsOf(peers.slice(0, QUORUM)));
    assert.equal(deciding(false).needed(), QUORUM);
  });

  it('are two of each half in a large one', () => {
    const expected = halves.flatMap((half) => half.slice(0, 2));
    assert.deepEqual(textsOf(deciding(true).of(peers)), textsOf(expected));
    assert.equal(deciding(true).needed(), expected.length);
  });

  it('are of different hosts, as far as there are some', () => {
    const [a, b, c, d] = peers;
    assert.ok(a && b && c && d);
    const hosts = new Map([a, b, c].map((peer) => [peer, '10.0.0.66']));
    hosts.set(d, '10.0.0.7');
    assert.deepEqual(textsOf(deciding(false, hosts).of([a, b, c, d])), textsOf([a, d, b]));
  });

  it('takes those of this host itself for different ones', () => {
    assert.deepEqual(textsOf(deciding(false).oneOfHostFirst(peers)), textsOf(peers));
  });

  it('has one stand-in in a small network, and one of each half in a large one', () => {
    assert.deepEqual(textsOf(deciding(false).standIns(peers)), textsOf(peers.slice(0, 1)));
    const expected = halves.flatMap((half) => half.slice(0, 1));
    assert.deepEqual(textsOf(deciding(true).standIns(peers)), textsOf(expected));
  });

  it('has a miss from as many as the quorum, and in a large network from two of each half', () => {
    assert.equal(deciding(false).areEnough(peers.slice(0, 2), QUORUM), false);
    assert.equal(deciding(false).areEnough(peers.slice(0, 2), QUORUM - 1), true);
    const [even, odd] = halves;
    assert.ok(even && odd);
    assert.equal(deciding(true).areEnough(even, QUORUM), false);
    assert.equal(deciding(true).areEnough([...even, ...odd.slice(0, 1)], QUORUM), false);
    assert.equal(deciding(true).areEnough([...even, ...odd.slice(0, 2)], QUORUM), true);
  });
});
