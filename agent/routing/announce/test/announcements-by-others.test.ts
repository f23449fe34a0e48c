import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';
import { multiaddr } from '@multiformats/multiaddr';

import { recordKeys, signedAnnouncement } from '../../../testing/announcements.ts';
import { DEFAULT_VALIDITY_MS, ProviderRecords } from '../../dht/provider-records.ts';
import { AddressBook } from '../../node/address-book.ts';
import { openAnnouncement, targetOfRecord } from '../announcement.ts';
import type { Announcement, SignedAnnouncement } from '../announcement.ts';
import { HeldAnnouncements } from '../held-announcements.ts';

const EVERYWHERE = [0, 2 ** 32 - 1] as const;
/** The sequence of an announcement is its time, in milliseconds. */
const SEQUENCE = 10 * DEFAULT_VALIDITY_MS;
const privateKey = await generateKeyPair('Ed25519');
const provider = peerIdFromPrivateKey(privateKey).toString();

let now: number;
let records: ProviderRecords;
let addressBook: AddressBook;
let held: HeldAnnouncements;

function newHeld(): HeldAnnouncements {
  const init = { now: () => now, validityMs: DEFAULT_VALIDITY_MS, ownPeerId: 'me' };
  records = new ProviderRecords(init);
  addressBook = new AddressBook();
  return new HeldAnnouncements(
    { records, addressBook, isOurs: () => true, networkSize: () => 10, hostOf: () => undefined },
    init,
  );
}

beforeEach(() => {
  now = 0;
  held = newHeld();
});

const seal = (names: readonly string[], fields: Partial<Announcement> = {}) =>
  signedAnnouncement(names, { sequence: SEQUENCE, ...fields }, privateKey);
const take = (announcement: SignedAnnouncement, ageMs = 0, from = 'carrier'): boolean =>
  held.take(announcement, { from, ageMs });
const recordsOf = (names: readonly string[]): string[] =>
  names.filter((name) => recordKeys([name]).some((key) => records.has(key, provider)));
const ages = (): number[] => held.within(...EVERYWHERE).map(({ ageMs }) => ageMs);

describe('the age of an announcement that came by others', () => {
  it('is the youngest that one of them has said', async () => {
    const announcement = await seal(['a']);
    take(announcement, DEFAULT_VALIDITY_MS - 10);
    assert.equal(take(announcement, 1000, 'another'), true);
    assert.deepEqual(ages(), [1000]);
    now = DEFAULT_VALIDITY_MS - 1001;
    assert.deepEqual(recordsOf(['a']), ['a'], 'the one who said it was old did no harm');
  });

  it('does not become older by the word of another', async () => {
    const announcement = await seal(['a']);
    take(announcement, 1000);
    assert.equal(take(announcement, DEFAULT_VALIDITY_MS - 10, 'another'), true);
    assert.deepEqual(ages(), [1000]);
    now = DEFAULT_VALIDITY_MS - 1001;
    assert.deepEqual(recordsOf(['a']), ['a']);
  });

  it('comes back to life when it was expired by a wrong word', async () => {
    const announcement = await seal(['a']);
    take(announcement, DEFAULT_VALIDITY_MS - 10);
    now = 20;
    assert.deepEqual(recordsOf(['a']), []);
    take(announcement, 30, 'another');
    assert.deepEqual(recordsOf(['a']), ['a']);
  });
});

describe('a withdrawal that came by others', () => {
  it('is handed over, and what it withdraws is not taken there either', async () => {
    const before = await seal(['a']);
    take(before);
    take(await seal([], { sequence: SEQUENCE + 1, withdrawn: recordKeys(['a']) }));
    const point = targetOfRecord(recordKeys(['a'])[0] ?? '');
    const handed = held.within(point, 0);
    assert.equal(handed.length, 1);
    held = newHeld();
    for (const { envelope, ageMs } of handed) take(await openAnnouncement(envelope), ageMs);
    assert.equal(take(before, 0, 'another'), false);
    assert.deepEqual(recordsOf(['a']), []);
  });

  it('is not undone by an earlier announcement under another label', async () => {
    const former = await seal(['a', 'b'], { label: 2 });
    const withdrawal = await seal(['c'], { sequence: SEQUENCE + 1, withdrawn: recordKeys(['a']) });
    take(former, 1000);
    take(withdrawal);
    assert.deepEqual(recordsOf(['a', 'b', 'c']), ['b', 'c']);
    take(former, 500, 'another');
    assert.deepEqual(
      recordsOf(['a', 'b', 'c']),
      ['b', 'c'],
      'by the word of a peer they are younger',
    );
    const handed = held.within(...EVERYWHERE);
    held = newHeld();
    for (const { envelope, ageMs } of handed.reverse()) {
      take(await openAnnouncement(envelope), ageMs);
    }
    assert.deepEqual(recordsOf(['a', 'b', 'c']), ['b', 'c'], 'that comes after it');
  });

  it('is undone by a later one under another label', async () => {
    take(await seal([], { withdrawn: recordKeys(['a']) }));
    take(await seal(['a'], { label: 2, sequence: SEQUENCE + 1 }));
    assert.deepEqual(recordsOf(['a']), ['a']);
  });
});

describe('an announcement under a label that its provider has left', () => {
  it('is refused when it is older than records are valid, by the newest of the provider', async () => {
    take(await seal(['now']));
    const old = { label: 2, sequence: SEQUENCE - DEFAULT_VALIDITY_MS };
    assert.equal(take(await seal(['old'], old)), false);
    assert.deepEqual(recordsOf(['now', 'old']), ['now']);
    const recent = await seal(['old'], { ...old, sequence: old.sequence + 1 });
    assert.equal(take(recent), true);
    assert.deepEqual(recordsOf(['now', 'old']), ['now', 'old']);
  });

  it('does not lower the newest sequence of the provider', async () => {
    take(await seal(['now']));
    take(await seal(['before'], { label: 2, sequence: SEQUENCE - 1 }));
    assert.equal(held.sequenceOf(provider), SEQUENCE);
  });
});

describe('the addresses of a provider', () => {
  const at = (host: number) => ({ multiaddrs: [multiaddr(`/ip4/10.0.0.${host}/tcp/5001`).bytes] });
  const addresses = () => addressBook.get(provider)?.multiaddrs.map(String);

  it('are those of its newest announcement, whatever the label', async () => {
    take(await seal(['a'], at(1)));
    take(await seal(['b'], { ...at(2), label: 2, sequence: SEQUENCE - 1 }));
    assert.deepEqual(recordsOf(['a', 'b']), ['a', 'b']);
    assert.deepEqual(addresses(), ['/ip4/10.0.0.1/tcp/5001']);
    take(await seal(['c'], { ...at(3), label: 3, sequence: SEQUENCE + 1 }));
    assert.deepEqual(addresses(), ['/ip4/10.0.0.3/tcp/5001']);
  });

  it('do not change with one of which no record is kept, or that is refused', async () => {
    take(await seal(['a'], at(1)));
    take(await seal([], { ...at(2), sequence: SEQUENCE + 1, withdrawn: recordKeys(['a']) }));
    take(await seal(['a'], at(3)));
    assert.deepEqual(addresses(), ['/ip4/10.0.0.1/tcp/5001']);
  });
});

describe('providers that one peer introduces', () => {
  it('are bounded; others are taken from another peer, and from themselves', async () => {
    const many = await Promise.all(Array.from({ length: 101 }, () => signedAnnouncement(['a'])));
    assert.equal(many.filter((each) => take(each)).length, 100);
    const [refused] = many.slice(-1);
    assert.ok(refused);
    assert.equal(take(refused), false);
    assert.equal(records.providers(recordKeys(['a'])[0] ?? '', 200).length, 100);
    assert.equal(take(refused, 0, 'another'), true);
    const itself = await signedAnnouncement(['b']);
    assert.equal(take(itself), false);
    assert.equal(take(itself, 0, itself.provider.toString()), true);
  });

  it('make room when all that they had here has expired', async () => {
    for (let count = 0; count < 100; count++) take(await signedAnnouncement(['a']));
    const next = await signedAnnouncement(['a']);
    assert.equal(take(next), false);
    now = DEFAULT_VALIDITY_MS + 1;
    records.sweep();
    held.sweep();
    assert.equal(take(next), true);
  });
});
