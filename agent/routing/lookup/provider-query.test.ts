import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { eventually } from '../../testing/eventually.ts';
import { silent } from '../../testing/test-network.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import type { ProvidersAnswer } from '../dht/dht-client.ts';
import { closest, distanceTo, K } from '../dht/kademlia.ts';
import { routingKey } from '../dht/key.ts';
import type { AddressedPeer } from '../node/address-book.ts';
import { dhtPeer } from '../node/membership.ts';
import type { DhtPeer } from '../node/membership.ts';
import { ProviderQuery } from './provider-query.ts';

const key = routingKey('key');
const MISS: ProvidersAnswer = { providers: [], closer: [] };
const NEVER = new Promise<never>(() => undefined);

const newPeer = async (): Promise<DhtPeer> =>
  dhtPeer(peerIdFromPrivateKey(await generateKeyPair('Ed25519')));

const HOLDER = await newPeer();

const addressed = (peer: DhtPeer) => ({
  peerId: peer.text,
  multiaddrs: [multiaddr('/ip4/10.0.0.7/tcp/5001')],
});

/** A peer that is closer to the key than another one. */
async function closerThan(other: DhtPeer): Promise<DhtPeer> {
  for (;;) {
    const peer = await newPeer();
    if (distanceTo(key.target, peer) < distanceTo(key.target, other)) return peer;
  }
}

/** A query among `count` members. A peer without an answer in `answers` has no record. */
async function start(count: number, isEstablished = false) {
  const members = await Promise.all(Array.from({ length: count }, newPeer));
  const answers = new Map<string, Promise<ProvidersAnswer>>();
  const unresponsive = new Set<string>();
  /** Those that others have named, and with which this node is not connected. */
  const strangers = new Set<string>();
  /** Peer -> its host; without one it is at a host of its own. */
  const hosts = new Map<string, string>();
  const asked: { readonly peerId: string; readonly closerThan: number | undefined }[] = [];
  const found: string[] = [];
  const learnt: string[] = [];
  const query = new ProviderQuery(
    {
      // Farther from the key than any member.
      self: { ...(await newPeer()), prefix: ~key.target >>> 0 },
      scale: { isLarge: false },
      isEstablished: () => true,
      client: {
        getProviders: (peer, _multihash, { closerThan }, _timeoutMs, stopped) => {
          asked.push({ peerId: peer.text, closerThan });
          return raceSignal(answers.get(peer.text) ?? Promise.resolve(MISS), stopped);
        },
      },
      membership: {
        members: () => members,
        isEstablished: (peerId: string) =>
          isEstablished && members.some(({ text }) => text === peerId),
        isConnected: (peerId: string) => !strangers.has(peerId),
        isContact: (peerId: string) => strangers.has(peerId),
        hostOf: ({ text }: DhtPeer) => hosts.get(text),
        isUnresponsive: (peerId: string) => unresponsive.has(peerId),
        learn: (peers: readonly AddressedPeer[]) => {
          learnt.push(...peers.map(({ peerId }) => peerId));
        },
        markResponsive: ({ text }: DhtPeer) => unresponsive.delete(text),
        markUnresponsive: ({ text }: DhtPeer) => unresponsive.add(text),
      } as never,
      logger: silent,
    },
    key,
  );
  const controller = new AbortController();
  const { signal } = controller;
  return {
    ranked: closest(key.target, members, count),
    answers,
    hosts,
    unresponsive,
    strangers,
    asked,
    found,
    learnt,
    stop: () => {
      controller.abort();
    },
    first: () => query.askFirst((peers) => found.push(...peers.map((it) => it.peerId)), signal),
    others: (stop = signal) =>
      query.askOthers((peers) => found.push(...peers.map((it) => it.peerId)), stop),
  };
}

describe('ProviderQuery', () => {
  it('takes the misses of the three closest established peers for a miss', async () => {
    const { ranked, asked, first } = await start(30, true);
    assert.equal(await first(), true);
    const [, , third] = ranked;
    assert.ok(third);
    const closerThan = distanceTo(key.target, third);
    assert.deepEqual(
      asked,
      ranked.slice(0, 3).map(({ text }) => ({ peerId: text, closerThan })),
    );
  });

  it('does not take the word of several identities of one host for a miss', async () => {
    const { ranked, answers, hosts, found, first } = await start(30, true);
    // The closest eight are of one host, and lie. Each of the others has the record.
    for (const [index, { text }] of ranked.entries()) {
      if (index < 8) hosts.set(text, '10.0.0.66');
      else answers.set(text, Promise.resolve({ providers: [addressed(HOLDER)], closer: [] }));
    }
    assert.equal(await first(), false);
    assert.ok(found.includes(HOLDER.text));
  });

  it('finds a key that connected members know of, while those closest to it were invented', async () => {
    const { ranked, answers, strangers, found, first, stop } = await start(40, true);
    for (const { text } of ranked.slice(0, 30)) {
      strangers.add(text);
      answers.set(text, NEVER);
    }
    const providers = [addressed(HOLDER)];
    answers.set(ranked[31]?.text ?? '', Promise.resolve({ providers, closer: [] }));
    const asking = first();
    await eventually(() => {
      assert.ok(found.includes(HOLDER.text));
    }).finally(stop);
    await asking;
  });

  it('does not take the misses of connected members that are not to keep the record for a miss', async () => {
    const { ranked, answers, strangers, asked, first } = await start(40, true);
    for (const { text } of ranked.slice(0, 30)) strangers.add(text);
    for (const { text } of ranked.slice(1, 3)) answers.set(text, NEVER);
    answers.set(ranked[0]?.text ?? '', Promise.resolve({ ...MISS, established: true }));
    assert.equal(await first(), false);
    assert.equal(asked.length, 5, 'three have answered, of which two are too far from the key');
  });

  it('does not take the word of one host for a miss when it has invented others closest to the key', async () => {
    const { ranked, answers, hosts, strangers, found, first } = await start(30, true);
    const [, second, third] = ranked;
    for (const peer of [second, third]) {
      strangers.add(peer?.text ?? '');
      answers.set(peer?.text ?? '', NEVER);
    }
    // All others have the record.
    for (const [index, { text }] of ranked.entries()) {
      if (index === 0 || (index > 2 && index < 8)) hosts.set(text, '10.0.0.66');
      else if (index >= 8)
        answers.set(text, Promise.resolve({ providers: [addressed(HOLDER)], closer: [] }));
    }
    assert.equal(await first(), false);
    assert.ok(found.includes(HOLDER.text));
  });

  it('asks as many for a key that is held when one names 1,000 peers that do not exist as without that', async () => {
    const cost = async (invented: readonly DhtPeer[]): Promise<number> => {
      const { ranked, answers, asked, found, first } = await start(30, true);
      for (const { text } of invented) {
        const none = Promise.reject<ProvidersAnswer>(new Error('no answer'));
        none.catch(() => undefined);
        answers.set(text, none);
      }
      const [liar, ...others] = ranked;
      const closer = invented.map(addressed);
      answers.set(liar?.text ?? '', Promise.resolve({ providers: [], closer }));
      for (const { text } of others) {
        answers.set(text, Promise.resolve({ providers: [addressed(HOLDER)], closer: [] }));
      }
      assert.equal(await first(), false);
      assert.ok(found.includes(HOLDER.text));
      return asked.length;
    };
    const invented = await Promise.all(Array.from({ length: 1000 }, newPeer));
    const usual = await cost([]);
    const attacked = await cost(invented);
    assert.equal(attacked, usual);
  });

  it('is not sure of a miss when one of the first names a closer peer, and asks that one', async () => {
    const { ranked, answers, asked, learnt, first, others } = await start(30, true);
    const [nearest] = ranked;
    assert.ok(nearest);
    const stranger = await closerThan(nearest);
    const closer = [addressed(stranger)];
    answers.set(nearest.text, Promise.resolve({ providers: [], closer }));
    assert.equal(await first(), false);
    assert.deepEqual(learnt, [stranger.text]);
    assert.deepEqual(
      asked.map(({ peerId }) => peerId),
      [...ranked.slice(0, 3), stranger].map(({ text }) => text),
      'it asks that one before all others',
    );
    await others();
    assert.equal(asked.length, K);
  });

  it('is sure of a miss when that one says that it has all records', async () => {
    const { ranked, answers, asked, first } = await start(30, true);
    const [nearest] = ranked;
    assert.ok(nearest);
    const stranger = await closerThan(nearest);
    answers.set(nearest.text, Promise.resolve({ providers: [], closer: [addressed(stranger)] }));
    answers.set(stranger.text, Promise.resolve({ ...MISS, established: true }));
    assert.equal(await first(), true);
    assert.equal(asked.length, 4);
  });

  it('is not sure of a miss when one of the closest says that it has not got all records yet', async () => {
    const { ranked, answers, first } = await start(30, true);
    answers.set(ranked[1]?.text ?? '', Promise.resolve({ ...MISS, established: false }));
    assert.equal(await first(), false);
  });

  it('has a hit from a closer peer that was named, without asking the others', async () => {
    const { ranked, answers, found, first } = await start(30, true);
    const [nearest, provider] = ranked;
    assert.ok(nearest && provider);
    const stranger = await closerThan(nearest);
    answers.set(nearest.text, Promise.resolve({ providers: [], closer: [addressed(stranger)] }));
    answers.set(stranger.text, Promise.resolve({ providers: [addressed(provider)], closer: [] }));
    assert.equal(await first(), false);
    assert.deepEqual(found, [provider.text]);
  });

  it('is not led on without end by peers that name ever closer ones', async () => {
    const { ranked, answers, asked, first } = await start(30, true);
    let last = ranked[0];
    assert.ok(last);
    for (let step = 0; step < 5; step++) {
      const next: DhtPeer = await closerThan(last);
      answers.set(last.text, Promise.resolve({ providers: [], closer: [addressed(next)] }));
      last = next;
    }
    await first();
    assert.equal(asked.length, 3 + 4);
  });

  it('is sure of a miss when the only closer peer that is named did not answer lately', async () => {
    const { ranked, answers, asked, unresponsive, first } = await start(30, true);
    const [nearest] = ranked;
    assert.ok(nearest);
    const gone = await closerThan(nearest);
    unresponsive.add(gone.text);
    answers.set(nearest.text, Promise.resolve({ providers: [], closer: [addressed(gone)] }));
    assert.equal(await first(), true);
    assert.equal(asked.length, 3);
  });

  it('learns of no more than twenty peers from one answer', async () => {
    const { ranked, answers, learnt, first } = await start(30, true);
    const [nearest] = ranked;
    assert.ok(nearest);
    const named = await Promise.all(Array.from({ length: K + 5 }, newPeer));
    answers.set(nearest.text, Promise.resolve({ providers: [], closer: named.map(addressed) }));
    await first();
    assert.ok(learnt.length <= K, String(learnt.length));
  });

  it('asks none first when there are too few established peers', async () => {
    const { asked, first } = await start(30);
    assert.equal(await first(), false);
    assert.deepEqual(asked, []);
  });

  it('is not sure of a miss when one of the first names a provider', async () => {
    const { ranked, answers, found, first } = await start(30, true);
    const [nearest, provider] = ranked;
    assert.ok(nearest && provider);
    answers.set(nearest.text, Promise.resolve({ providers: [addressed(provider)], closer: [] }));
    assert.equal(await first(), false);
    assert.deepEqual(found, [provider.text]);
  });

  it('asks the K closest of the others, and not twice', async () => {
    const { ranked, asked, first, others } = await start(30, true);
    await first();
    assert.equal(await others(), true);
    const expected = ranked.slice(0, K).map(({ text }) => text);
    assert.deepEqual(new Set(asked.map(({ peerId }) => peerId)), new Set(expected));
    assert.equal(asked.length, K);
  });

  it('asks closer peers that others name, when they have an address', async () => {
    const { ranked, answers, found, others } = await start(1);
    const [only] = ranked;
    const [stranger, unaddressed, provider] = [await newPeer(), await newPeer(), await newPeer()];
    assert.ok(only);
    const closer = [addressed(stranger), { peerId: unaddressed.text, multiaddrs: [] }];
    answers.set(only.text, Promise.resolve({ providers: [], closer }));
    answers.set(stranger.text, Promise.resolve({ providers: [addressed(provider)], closer: [] }));
    answers.set(unaddressed.text, Promise.reject(new Error('asked without an address')));
    answers.get(unaddressed.text)?.catch(() => undefined);
    assert.equal(await others(), true);
    assert.deepEqual(found, [provider.text]);
  });

  it('is not sure of a miss when a peer fails, and takes that peer for unresponsive', async () => {
    const { ranked, answers, unresponsive, others } = await start(2);
    const [failing] = ranked;
    assert.ok(failing);
    answers.set(failing.text, Promise.reject(new Error('no answer')));
    assert.equal(await others(), false);
    assert.deepEqual([...unresponsive], [failing.text]);
  });

  it('asks unresponsive peers too, and waits for them only when no other answers', async () => {
    const { ranked, answers, unresponsive, asked, others } = await start(2);
    const [frozen] = ranked;
    assert.ok(frozen);
    unresponsive.add(frozen.text);
    answers.set(frozen.text, Promise.withResolvers<never>().promise);
    assert.equal(await others(), true);
    assert.equal(asked.length, 2);

    const alone = await start(1);
    const [late] = alone.ranked;
    assert.ok(late);
    alone.unresponsive.add(late.text);
    assert.equal(await alone.others(), true);
    assert.deepEqual([...alone.unresponsive], [], 'the peer has answered');
  });
});
