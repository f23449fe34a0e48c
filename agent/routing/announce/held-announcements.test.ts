import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { recordKeys, signedAnnouncement } from '../../testing/announcements.ts';
import { ProviderRecords } from '../dht/provider-records.ts';
import { AddressBook } from '../node/address-book.ts';
import { targetOfRecord } from './announcement.ts';
import type { Announcement, SignedAnnouncement } from './announcement.ts';
import { HeldAnnouncements } from './held-announcements.ts';

const VALIDITY_MS = 1000;
const EVERYWHERE = [0, 2 ** 32 - 1] as const;
const privateKey = await generateKeyPair('Ed25519');
const provider = peerIdFromPrivateKey(privateKey).toString();

let now = 0;
let isOurs: (target: number) => boolean;
let records: ProviderRecords;
let addressBook: AddressBook;
let held: HeldAnnouncements;
/** Peer -> the host that it is connected from. */
const hosts = new Map<string, string>();

const seal = (names: readonly string[], fields: Partial<Announcement> = {}) =>
  signedAnnouncement(names, fields, privateKey);
const recordsOf = (names: readonly string[]): string[] =>
  names.filter((name) => recordKeys([name]).some((key) => records.has(key, provider)));
/** Gives it an announcement by another peer, of this age. */
const take = (announcement: SignedAnnouncement, ageMs = 0): boolean =>
  held.take(announcement, { from: 'carrier', ageMs });
const ages = (): number[] => [...held.within(...EVERYWHERE)].map(({ ageMs }) => ageMs);

beforeEach(() => {
  now = 0;
  hosts.clear();
  isOurs = () => true;
  const clock = { now: () => now, validityMs: VALIDITY_MS, ownPeerId: 'me' };
  records = new ProviderRecords(clock);
  addressBook = new AddressBook();
  const components = {
    records,
    addressBook,
    isOurs: (target: number) => isOurs(target),
    networkSize: () => 10,
    hostOf: (peerId: string) => hosts.get(peerId),
  };
  held = new HeldAnnouncements(components, clock);
});

describe('HeldAnnouncements', () => {
  it('counts the records of a provider at the host that it is connected from', async () => {
    const clock = { ownPeerId: 'me', now: () => now };
    const narrow = new ProviderRecords({ ...clock, maxRecordsPerHost: 1 });
    const hostOf = (peerId: string): string | undefined => hosts.get(peerId);
    const parts = { records: narrow, addressBook, isOurs, networkSize: () => 10, hostOf };
    const keeper = new HeldAnnouncements(parts, { ...clock, validityMs: VALIDITY_MS });
    hosts.set(provider, '10.0.0.7');
    narrow.add('elsewhere', 'neighbour', { host: '10.0.0.7' });
    keeper.take(await seal(['a']), { from: 'carrier' });
    assert.equal(narrow.hasPeer(provider), false, 'its host has its share already');
    hosts.clear();
    keeper.take(await seal(['a'], { sequence: 2 }), { from: 'carrier' });
    assert.equal(narrow.hasPeer(provider), true);
  });

  it('stores the records and the addresses of the provider', async () => {
    assert.equal(take(await seal(['a', 'b'])), true);
    assert.deepEqual(recordsOf(['a', 'b', 'c']), ['a', 'b']);
    assert.deepEqual(addressBook.get(provider)?.multiaddrs.map(String), ['/ip4/10.0.0.7/tcp/5001']);
  });

  it('replaces an older one of the same label, and its keys that are gone', async () => {
    take(await seal(['a', 'b']));
    take(await seal(['other'], { label: 2 }));
    take(await seal(['b', 'c'], { sequence: 2 }));
    assert.deepEqual(recordsOf(['a', 'b', 'c', 'other']), ['b', 'c', 'other']);
    assert.equal(held.size, 2);
  });

  it('keeps the record of a key that is under another label now', async () => {
    take(await seal(['a', 'b']));
    take(await seal(['b'], { label: 2, sequence: 2 }));
    take(await seal(['a'], { sequence: 3 }));
    assert.deepEqual(recordsOf(['a', 'b']), ['a', 'b']);
    take(await seal(['a'], { sequence: 4, withdrawn: recordKeys(['b']) }));
    assert.deepEqual(recordsOf(['a', 'b']), ['a'], 'unless it is withdrawn by name');
  });

  it('refuses what is not later, unless the provider itself has sent it', async () => {
    take(await seal(['new'], { sequence: 5 }));
    assert.equal(take(await seal(['old'], { sequence: 4 })), false);
    assert.equal(take(await seal(['old'], { sequence: 5 })), true, 'that is here already');
    assert.deepEqual(recordsOf(['new', 'old']), ['new']);
    assert.equal(held.sequenceOf(provider), 5);
    const reset = await seal(['old'], { sequence: 1 });
    now = 60_000;
    assert.equal(held.take(reset, { from: provider }), false, 'it may have been overtaken');
    now = 60_001;
    assert.equal(take(reset), false);
    assert.equal(held.take(reset, { from: provider }), true);
    assert.equal(held.sequenceOf(provider), 1);
    assert.deepEqual(recordsOf(['new', 'old']), ['old']);
  });

  it('deletes the records that are withdrawn, and does not take them again from others', async () => {
    const first = await seal(['a']);
    take(first);
    take(await seal([], { sequence: 2, withdrawn: recordKeys(['a']) }));
    assert.deepEqual(recordsOf(['a']), []);
    assert.equal(take(first), false);
    assert.deepEqual(recordsOf(['a']), []);
    assert.deepEqual(ages(), [0], 'the withdrawal is handed over');
  });

  it('withdraws nothing of another provider', async () => {
    take(await seal(['a']));
    take(await signedAnnouncement([], { sequence: 9, withdrawn: recordKeys(['a']) }));
    assert.deepEqual(recordsOf(['a']), ['a']);
  });

  it('stores the keys only that are its own to keep', async () => {
    const target = targetOfRecord(recordKeys(['a'])[0] ?? '');
    isOurs = (point) => point === target;
    take(await seal(['a', 'b']));
    assert.deepEqual(recordsOf(['a', 'b']), ['a']);
    take(await seal(['b'], { label: 2 }));
    assert.equal(held.size, 1, 'one without such a key is not kept');
  });

  it('takes nothing of this node, and nothing that has expired', async () => {
    const clock = { now: () => now, validityMs: VALIDITY_MS, ownPeerId: provider };
    const own = new HeldAnnouncements(
      { records, addressBook, isOurs: () => true, networkSize: () => 10, hostOf: () => undefined },
      clock,
    );
    assert.equal(own.take(await seal(['a']), { from: 'carrier' }), false);
    assert.equal(take(await seal(['a']), VALIDITY_MS), false);
    assert.equal(records.size, 0);
  });

  it('counts the age from when the provider has announced it', async () => {
    take(await seal(['a']), 600);
    now = 300;
    assert.deepEqual(ages(), [900]);
    assert.deepEqual(recordsOf(['a']), ['a']);
    now = 400;
    assert.deepEqual(ages(), []);
    assert.deepEqual(recordsOf(['a']), []);
    assert.equal(held.size, 1);
    held.sweep();
    assert.equal(held.size, 0);
  });

  it('keeps a bounded number of one provider, and a bounded number of bytes', async () => {
    for (let label = 0; label < 70; label++) take(await seal([`key ${label}`], { label }));
    assert.deepEqual([...held.within(...EVERYWHERE)].length, 64);
    assert.deepEqual(recordsOf(['key 69']), ['key 69'], 'its record is kept all the same');
    const large = { envelope: new Uint8Array(4 * 1024 * 1024) };
    for (let i = 0; i < 5; i++) take({ ...(await signedAnnouncement(['key'])), ...large });
    assert.ok(held.size <= 3);
    // The count of the provider went down with those that were dropped.
    take(await seal(['key 1'], { label: 100, sequence: 2 }));
    assert.ok(ages().length > 0);
  });

  it('hands over those with a key within the distance, the oldest first', async () => {
    const [near, far] = [await seal(['a'], { label: 1 }), await seal(['b'], { label: 2 })];
    take(near);
    take(far);
    const point = targetOfRecord(near.provided[0] ?? '');
    const distance = (point ^ targetOfRecord(far.provided[0] ?? '')) >>> 0;
    const envelopes = (within: number) =>
      [...held.within(point, within)].map(({ envelope }) => envelope);
    assert.deepEqual(envelopes(0), [near.envelope]);
    assert.deepEqual(envelopes(distance - 1), [near.envelope]);
    assert.deepEqual(envelopes(distance), [near.envelope, far.envelope]);
    take(await seal(['a'], { label: 1, sequence: 2 }));
    assert.equal(envelopes(distance)[0], far.envelope);
    assert.equal(
      addressBook.get(provider)?.multiaddrs[0]?.equals(multiaddr('/ip4/10.0.0.7/tcp/5001')),
      true,
    );
  });
});
