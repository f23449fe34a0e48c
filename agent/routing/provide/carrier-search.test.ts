import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { UnsupportedProtocolError } from '@libp2p/interface';

import { randomPeers, signedAnnouncement } from '../../testing/announcements.ts';
import { silent } from '../../testing/test-network.ts';
import type { Carried, Half } from '../announce/carrier.ts';
import { routingKey } from '../dht/key.ts';
import type { DhtPeer } from '../node/membership.ts';
import { CarrierSearch } from './carrier-search.ts';
import { isWithin } from '../announce/region-layout.ts';

const { signal } = new AbortController();
const key = routingKey('key');
/** The half of the key space with the key. */
const region = { bits: 1, prefix: key.target >>> 31 };
const announcement = await signedAnnouncement(['key']);
const peers = await randomPeers(60);
const inside = peers.filter(({ prefix }) => isWithin(region, prefix));
const outside = peers.filter(({ prefix }) => !isWithin(region, prefix));
const NONE: Carried = { taken: 0, strangers: [], sequence: 0 };
const DONE: Carried = { ...NONE, taken: 5 };

let members: readonly DhtPeer[];
let connected: Set<string>;
let unresponsive: Set<string>;
/** Peers that others have named, and those of them that have answered. */
let contacts: Set<string>;
let answered: Set<string>;
/** What a carrier answers; one that throws has failed. */
let answer: (peer: DhtPeer) => Carried;
let looked: () => readonly DhtPeer[];
let asked: [string, Half][];
/** To whom records were sent, and by which carrier these were named. */
let sent: [string, string?][];
let ownHalves: (Half | undefined)[];
let lookups: number;

function search(self: DhtPeer | undefined): CarrierSearch {
  assert.ok(self);
  return new CarrierSearch({
    self,
    membership: {
      members: () => members,
      isConnected: (text) => connected.has(text),
      isContact: (text) => contacts.has(text),
      isEstablished: (text) => answered.has(text),
      isUnresponsive: (text) => unresponsive.has(text),
      markUnresponsive: ({ text }) => unresponsive.add(text),
    },
    lookup: {
      find: () => {
        lookups += 1;
        return Promise.resolve(looked());
      },
    },
    carrier: {
      carry: (_announcement, half) => {
        ownHalves.push(half);
        return Promise.resolve(answer(self));
      },
    },
    announceClient: {
      announce: async (peer, { half }) => {
        await Promise.resolve();
        asked.push([peer.text, half]);
        const carried = answer(peer);
        const strangers = carried.strangers.map(({ text }) => ({ peerId: text, multiaddrs: [] }));
        return { ...carried, strangers };
      },
    },
    direct: {
      send: (to) => {
        sent.push(...to.map(({ text }): [string] => [text]));
        return Promise.resolve(to.length);
      },
      sendNamed: (to, by) => {
        sent.push(...to.map(({ peerId }): [string, string] => [peerId, by.text]));
        return Promise.resolve(to.length);
      },
    },
    logger: silent,
  });
}

const carry = (self = outside[0], what = announcement): Promise<number> =>
  search(self).carry(what, { region, keys: [key] }, signal);
const isInside = (text: string): boolean => inside.some((peer) => peer.text === text);

beforeEach(() => {
  members = peers;
  [connected, unresponsive] = [new Set(), new Set()];
  [contacts, answered] = [new Set(), new Set()];
  answer = () => DONE;
  looked = () => [];
  [asked, sent, ownHalves, lookups] = [[], [], [], 0];
});

describe('CarrierSearch', () => {
  it('uses this node for both halves when it is in the region', async () => {
    answer = () => ({ taken: 3, strangers: outside.slice(0, 2), sequence: 7 });
    assert.equal(await carry(inside[0]), 7);
    assert.deepEqual([ownHalves, asked], [[undefined], []]);
    assert.deepEqual(
      sent,
      outside.slice(0, 2).map(({ text }) => [text]),
    );
  });

  it('has one member of the region carry each half, connected ones first', async () => {
    connected = new Set(inside.slice(0, 2).map(({ text }) => text));
    await carry();
    assert.deepEqual(
      asked.map(([, half]) => half),
      [0, 1],
    );
    assert.deepEqual(new Set(asked.map(([text]) => text)), connected);
    assert.equal(lookups, 0);
  });

  it('takes the next when one fails, and marks that', async () => {
    const [dead] = inside;
    assert.ok(dead);
    connected = new Set([dead.text]);
    answer = (peer) => {
      if (peer === dead) throw new Error('no answer');
      return DONE;
    };
    await carry();
    assert.deepEqual(
      asked.map(([, half]) => half),
      [0, 0, 1],
    );
    assert.ok(unresponsive.has(dead.text));
    assert.ok(asked.every(([text]) => isInside(text)));
  });

  it('takes another too when one has reached few', async () => {
    answer = () => ({ ...DONE, taken: 2 });
    await carry();
    assert.deepEqual(
      asked.map(([, half]) => half),
      [0, 0, 1, 1],
    );
    assert.equal(new Set(asked.map(([text]) => text)).size, 4);
  });

  it('sends the records to the peers that a carrier names, as those that it has named', async () => {
    const [stranger] = outside.slice(1);
    assert.ok(stranger);
    answer = () => ({ ...DONE, strangers: [stranger] });
    await carry();
    assert.deepEqual(
      sent,
      asked.map(([by]) => [stranger.text, by]),
    );
    assert.equal(sent.length, 2);
  });

  it('takes one that does not speak the protocol for no carrier, and not for a dead one', async () => {
    const [foreign] = inside;
    assert.ok(foreign);
    connected = new Set([foreign.text]);
    answer = (peer) => {
      if (peer === foreign) throw new UnsupportedProtocolError('not spoken');
      return DONE;
    };
    await carry();
    assert.deepEqual([sent, unresponsive.size], [[], 0], 'the carriers name it');
    assert.deepEqual(
      asked.map(([, half]) => half),
      [0, 0, 1],
    );
  });

  it('rejects when one half only was carried', async () => {
    for (const missing of [0, 1]) {
      answer = () => (asked.at(-1)?.[1] === missing ? NONE : DONE);
      await assert.rejects(carry(), /no member of the region took it/);
    }
  });

  it('gives the highest sequence that carriers say', async () => {
    const sequences = [4, 9];
    answer = () => ({ ...DONE, sequence: sequences.shift() ?? 0 });
    assert.equal(await carry(), 9);
  });

  it('tries those that were only named after those that have answered, and looks for two of these', async () => {
    contacts = new Set(inside.map(({ text }) => text));
    await carry();
    assert.equal(lookups, 1);
    asked = [];
    answered = new Set(inside.slice(3, 5).map(({ text }) => text));
    await carry();
    assert.equal(lookups, 1);
    assert.deepEqual(new Set(asked.map(([text]) => text)), answered);
  });

  it('looks for members when it knows less than two, and takes those closest when there are none', async () => {
    members = [...outside, ...inside.slice(0, 1)];
    looked = () => {
      members = peers;
      return [];
    };
    await carry();
    assert.equal(lookups, 1);
    assert.ok(asked.every(([text]) => isInside(text)));
    [members, asked] = [outside, []];
    looked = () => outside.slice(1, 4);
    await carry();
    assert.deepEqual(
      asked.filter(([text]) => !looked().some((peer) => peer.text === text)),
      [],
    );
    assert.equal(asked.length, 2);
  });

  it('looks for others when none of those that it knew has taken a half', async () => {
    const [dead, alive] = inside;
    assert.ok(dead && alive);
    members = [dead, alive];
    connected = new Set([dead.text]);
    looked = () => (members = inside);
    answer = (peer) => {
      if (peer === dead) throw new Error('no answer');
      return DONE;
    };
    await carry();
    assert.deepEqual(
      asked.map(([, half]) => half),
      [0, 0, 1],
    );
  });

  it('rejects when no peer took it, having tried no more than so many', async () => {
    answer = () => {
      throw new Error('no answer');
    };
    await assert.rejects(carry(), /no member of the region took it/);
    assert.ok(asked.length <= 40);
    answer = () => NONE;
    await assert.rejects(carry(inside[0]), /no neighbour took it/);
  });

  it('ends when its signal is aborted', async () => {
    const abort = new AbortController();
    answer = () => {
      abort.abort();
      throw new Error('aborted');
    };
    const keys = { region, keys: [key] };
    await assert.rejects(search(outside[0]).carry(announcement, keys, abort.signal));
    assert.equal(asked.length, 1);
    assert.equal(unresponsive.size, 0);
  });
});
