import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { multiaddr } from '@multiformats/multiaddr';

import { randomPeers } from '../../../testing/announcements.ts';
import { silent } from '../../../testing/test-network.ts';
import { halfOf } from '../../announce/carrier.ts';
import type { ProvidersAnswer } from '../../dht/dht-client.ts';
import { closest, distanceTo } from '../../dht/kademlia.ts';
import { routingKey } from '../../dht/key.ts';
import type { DhtPeer } from '../../node/membership.ts';
import { ProviderQuery } from '../provider-query.ts';

const key = routingKey('key');
const MISS: ProvidersAnswer = { providers: [], closer: [], established: true };
const NOT_YET: ProvidersAnswer = { ...MISS, established: false };
const NEVER = new Promise<never>(() => undefined);

const [near, ...all] = closest(key.target, await randomPeers(60), 60);
assert.ok(near);
/** Two of each half of the closest peers, and the next of each: they stand in for the first. */
const halves = ([0, 1] as const).map((half) => all.filter((peer) => halfOf(peer) === half));
const deciding = halves.flatMap((peers) => peers.slice(0, 2));
const next = halves.flatMap((peers) => peers.slice(2, 3));

let members: readonly DhtPeer[];
let answers: Map<string, Promise<ProvidersAnswer>>;
let asked: string[];

beforeEach(() => {
  members = all;
  answers = new Map();
  asked = [];
});

function query(self: DhtPeer): ProviderQuery {
  return new ProviderQuery(
    {
      self,
      client: {
        getProviders: ({ text }) => {
          asked.push(text);
          return answers.get(text) ?? Promise.resolve(MISS);
        },
      },
      membership: {
        members: () => members,
        isEstablished: () => true,
        hostOf: () => undefined,
        isContact: () => false,
        isUnresponsive: () => false,
        learn: () => 0,
        markResponsive: () => undefined,
        markUnresponsive: () => undefined,
      } as never,
      scale: { isLarge: true },
      isEstablished: () => true,
      logger: silent,
    },
    key,
  );
}

const far = { ...near, prefix: ~key.target >>> 0 };
const isMiss = (self = far): Promise<boolean> =>
  query(self).askFirst(() => undefined, new AbortController().signal);
const textsOf = (peers: readonly DhtPeer[]): string[] => peers.map(({ text }) => text);
const named = ({ text }: DhtPeer) => ({
  peerId: text,
  multiaddrs: [multiaddr('/ip4/10.0.0.7/tcp/5001')],
});

describe('ProviderQuery in a large network', () => {
  it('takes the misses of two of each half for a miss', async () => {
    assert.equal(await isMiss(), true);
    assert.deepEqual(asked, textsOf(deciding));
  });

  it('does not count this node, which may be without a record that others have', async () => {
    assert.equal(await isMiss({ ...near, prefix: key.target }), true);
    assert.deepEqual(asked, textsOf(deciding));
  });

  it('is not sure of a miss when one of them has no record yet, and neither has the next', async () => {
    for (const { text } of [deciding[3], next[1]].filter((peer) => peer !== undefined)) {
      answers.set(text, Promise.resolve(NOT_YET));
    }
    assert.equal(await isMiss(), false);
    assert.deepEqual(asked, textsOf([...deciding, ...next]));
  });

  for (const [what, answer] of [
    ['is late', () => NEVER],
    ['fails', () => Promise.reject(new Error('no answer'))],
    ['has not got all records yet', () => Promise.resolve(NOT_YET)],
  ] as const) {
    it(`asks the next of each half when one of them ${what}`, async () => {
      answers.set(deciding[1]?.text ?? '', answer());
      assert.equal(await isMiss(), true);
      assert.deepEqual(asked, textsOf([...deciding, ...next]));
    });
  }

  it('does not take the next of one half for two that are missing in it', async () => {
    for (const { text } of deciding.slice(0, 2)) {
      answers.set(text, Promise.reject(new Error('no answer')));
    }
    assert.equal(await isMiss(), false);
  });

  it('is not sure of a miss by the peers of one half alone', async () => {
    members = halves[0] ?? [];
    assert.equal(await isMiss(), false);
    assert.deepEqual(asked, []);
  });

  it('needs two of each half of the closest also when they were named by others', async () => {
    // All that it knew are farther than those of one half that are named.
    const [closer, farther] = halves;
    assert.ok(closer && farther);
    const known = all.slice(20);
    members = known;
    const [first] = closest(key.target, known, 1);
    assert.ok(first);
    const bound = distanceTo(key.target, first);
    const of = (half: readonly DhtPeer[]) =>
      half.filter((peer) => distanceTo(key.target, peer) < bound).map(named);
    answers.set(first.text, Promise.resolve({ ...MISS, closer: of(closer).slice(0, 2) }));
    answers.set(deciding[1]?.text ?? '', Promise.resolve(NOT_YET));
    assert.equal(await isMiss(), false, 'one of the closest of the half has not got all records');
    answers.delete(deciding[1]?.text ?? '');
    answers.set(first.text, Promise.resolve({ ...MISS, closer: of(closer).slice(0, 2) }));
    assert.equal(await isMiss(), true);
  });
});
