import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { generateKeyPair } from '@libp2p/crypto/keys';
import { multiaddr } from '@multiformats/multiaddr';

import { recordKeys } from '../../testing/announcements.ts';
import { until } from '../../testing/conformance/router.ts';
import { silent } from '../../testing/test-network.ts';
import type { SignedAnnouncement } from '../announce/announcement.ts';
import { routingKey, secretRoutingKey } from '../dht/key.ts';
import { RegionAnnouncer } from './region-announcer.ts';

const REFRESH_MS = 100_000;
const privateKey = await generateKeyPair('Ed25519');
const namesOf = (count: number): string[] => Array.from({ length: count }, (_, i) => `k${i}`);
const keysOf = (names: readonly string[]) => names.map((name) => routingKey(name));
const keys = keysOf(namesOf(10));
const [one, two] = keysOf(['one', 'two']);
assert.ok(one && two);

let announced: SignedAnnouncement[];
/** What becomes of an announcement: the later sequence that peers know, or 0. It fails when it rejects. */
let carry: () => Promise<number>;
let failures: number;
let announcer: RegionAnnouncer;

beforeEach(() => {
  [announced, failures] = [[], 0];
  carry = () => Promise.resolve(0);
  announcer = new RegionAnnouncer(
    {
      privateKey,
      addresses: { current: () => [multiaddr('/ip4/10.0.0.7/tcp/5001')] },
      search: {
        carry: (announcement) => {
          announced.push(announcement);
          return carry();
        },
      },
      observer: { onProvideFailure: () => (failures += 1) },
      logger: silent,
    },
    REFRESH_MS,
  );
  announcer.follow(20);
});

afterEach(() => {
  announcer.stop();
});

const provided = (): string[] => announced.flatMap((each) => each.provided).sort();
const recordsOf = (names: readonly string[]): string[] => recordKeys(names).sort();
const last = (): SignedAnnouncement | undefined => announced.at(-1);

/** An announcement that waits until the result is called. */
function held(): () => void {
  const gate = Promise.withResolvers<number>();
  carry = () => gate.promise;
  return () => {
    carry = () => Promise.resolve(0);
    gate.resolve(0);
  };
}

describe('RegionAnnouncer', () => {
  it('announces the keys of a region at once, and those of others apart', async () => {
    await announcer.provide(keys);
    assert.deepEqual([announced.length, provided()], [1, recordsOf(namesOf(10))]);
    assert.equal(last()?.multiaddrs.length, 1);
    await announcer.provide(keys);
    assert.equal(announced.length, 1, 'they are announced already');
    announced = [];
    announcer.follow(100_000);
    announcer.refresh(() => true);
    await until(() => provided().length === keys.length);
    assert.ok(announced.length > 3);
    assert.equal(new Set(announced.map(({ label }) => label)).size, announced.length);
  });

  it('gives each announcement a later sequence', async () => {
    for (const key of keys) await announcer.provide([key]);
    const sequences = announced.map(({ sequence }) => sequence);
    assert.deepEqual(
      sequences,
      [...new Set(sequences)].sort((a, b) => a - b),
    );
  });

  it('announces keys that are added meanwhile together, after that', async () => {
    const release = held();
    const first = announcer.provide([one]);
    await until(() => announced.length === 1);
    const more = keys.map((key) => announcer.provide([key]));
    release();
    await Promise.all([first, ...more]);
    assert.equal(announced.length, 2);
    assert.equal(last()?.provided.length, 11);
  });

  it('withdraws keys, once, also one that is being announced', async () => {
    const release = held();
    const first = announcer.provide([one, two]);
    await until(() => announced.length === 1);
    const withdrawal = announcer.withdraw([one]);
    release();
    await Promise.all([first, withdrawal]);
    assert.deepEqual(last()?.provided, [two.recordKey]);
    assert.deepEqual(last()?.withdrawn, [one.recordKey]);
    await announcer.provide(keys);
    assert.deepEqual(last()?.withdrawn, []);
    announced = [];
    await announcer.withdraw(keysOf(['never provided']));
    assert.equal(announced.length, 0);
  });

  it('provides a key again that is being withdrawn', async () => {
    await announcer.provide([one]);
    const release = held();
    const withdrawal = announcer.withdraw([one]);
    await until(() => announced.length === 2);
    const again = announcer.provide(keysOf(['one']));
    release();
    await Promise.all([withdrawal, again]);
    assert.deepEqual([last()?.provided, last()?.withdrawn], [[one.recordKey], []]);
  });

  it('divides the keys of a region, and finds each of them again', async () => {
    const many = keysOf(namesOf(600));
    await announcer.provide(many);
    assert.deepEqual(provided(), recordsOf(namesOf(600)));
    assert.deepEqual(announced.map((each) => each.provided.length).sort(), [256, 256, 88]);
    // The first part has room now, the key is in the last.
    await announcer.withdraw(many.slice(0, 1));
    announced = [];
    await announcer.withdraw(many.slice(-1));
    assert.deepEqual(last()?.withdrawn, [many.at(-1)?.recordKey]);
    announced = [];
    await announcer.provide(many.slice(-2, -1));
    assert.equal(announced.length, 0, 'it is announced already');
  });

  it('withdraws more keys of a part than one announcement takes', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const [a, b] = [keysOf(namesOf(250)), keysOf(namesOf(450).slice(250))];
    await announcer.provide(a);
    carry = () => Promise.reject(new Error('no member'));
    await announcer.withdraw(a.slice(0, 200));
    await announcer.provide(b);
    await announcer.withdraw(b);
    carry = () => Promise.resolve(0);
    announced = [];
    t.mock.timers.tick(120_000);
    await settled();
    const withdrawn = new Set(announced.flatMap((each) => each.withdrawn));
    assert.equal(withdrawn.size, 400);
  });

  it('tries again later when no peer took it', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    carry = () => Promise.reject(new Error('no member'));
    await announcer.provide([one]);
    assert.deepEqual([announced.length, failures], [1, 1]);
    await announcer.provide([two]);
    assert.equal(announced.length, 1, 'it waits');
    carry = () => Promise.resolve(0);
    t.mock.timers.tick(120_000);
    await untilNow(() => announced.length === 2);
    assert.deepEqual(provided(), recordsOf(['one', 'one', 'two']));
  });

  it('announces again what is due, and forgets a region without keys', async () => {
    await announcer.provide([one]);
    const dues: number[] = [];
    announcer.refresh((dueAt) => dues.push(dueAt) === 0);
    const left = (dues[0] ?? 0) - performance.now();
    assert.ok(left > 0.6 * REFRESH_MS && left <= REFRESH_MS);
    announcer.refresh(() => true);
    await until(() => announced.length === 2);
    await announcer.withdraw([one]);
    announcer.refresh(() => false);
    announcer.refresh(() => assert.fail('no region is left'));
  });

  it('moves keys and withdrawals to the regions of a larger network', async () => {
    await announcer.provide(keys);
    const release = held();
    const withdrawal = announcer.withdraw(keys.slice(0, 1));
    await until(() => announced.length === 2);
    announced = [];
    announcer.follow(1000);
    release();
    await withdrawal;
    await until(() => provided().length === 9);
    await until(() => announced.some(({ withdrawn }) => withdrawn.length > 0));
    assert.deepEqual(provided(), recordsOf(namesOf(10).slice(1)));
  });

  it('spreads the announcements of new regions when nothing is urgent', async () => {
    await announcer.provide(keys);
    announced = [];
    announcer.follow(1000);
    const dues: number[] = [];
    announcer.refresh((dueAt) => dues.push(dueAt) === 0);
    assert.ok(dues.length > 1);
    assert.ok(dues.every((dueAt) => dueAt - performance.now() <= REFRESH_MS / 4));
    assert.equal(announced.length, 0);
  });

  for (const [what, change] of [
    [
      'forgets its keys',
      () => {
        announcer.clear();
      },
    ],
    [
      'gets other regions',
      () => {
        announcer.follow(1000);
      },
    ],
  ] as const) {
    it(`does not try again what failed while it ${what}`, async (t) => {
      const gate = Promise.withResolvers<number>();
      carry = () => gate.promise;
      const running = announcer.provide([one]);
      await until(() => announced.length === 1);
      change();
      t.mock.timers.enable({ apis: ['setTimeout'] });
      carry = () => Promise.resolve(0);
      gate.reject(new Error('no member'));
      await running;
      announced = [];
      announcer.clear();
      t.mock.timers.tick(120_000);
      await settled();
      assert.equal(announced.length, 0);
    });
  }

  it('does nothing any more when it was stopped', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    carry = () => Promise.reject(new Error('no member'));
    await announcer.provide([one]);
    announcer.stop();
    t.mock.timers.tick(120_000);
    await announcer.provide([two]);
    await settled();
    assert.equal(announced.length, 1);
  });

  it('announces and withdraws each key of a name that has several', async () => {
    const [first, second] = [
      secretRoutingKey('name', createSecretKey(Buffer.from('1'))),
      secretRoutingKey('name', createSecretKey(Buffer.from('2'))),
    ];
    await announcer.provide([first, second]);
    assert.deepEqual(provided(), [first.recordKey, second.recordKey].sort());
    announced = [];
    await announcer.withdraw([first]);
    assert.deepEqual(last()?.provided, [second.recordKey]);
    assert.deepEqual(last()?.withdrawn, [first.recordKey]);
  });
});

/** Enough turns of the event loop for what does not wait for anything. */
async function settled(): Promise<void> {
  for (let i = 0; i < 50; i++) await new Promise(setImmediate);
}

/** Like `until`, without timers. */
async function untilNow(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}
