import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { generateKeyPair } from '@libp2p/crypto/keys';

import { silent } from '../../../testing/test-network.ts';
import { routingKey } from '../../dht/key.ts';
import { RegionAnnouncer } from '../region-announcer.ts';

const HOUR_MS = 3_600_000;
const privateKey = await generateKeyPair('Ed25519');

/** The sequences of what was announced. */
let sequences: number[];
/** Label -> the last sequence that was announced. */
let latest: Map<number, number>;
/** The highest sequence that peers have seen. */
let seen: number;

function start(t: TestContext): RegionAnnouncer {
  const announcer = new RegionAnnouncer(
    {
      privateKey,
      addresses: { current: () => [] },
      search: {
        carry: async ({ sequence, label }) => {
          sequences.push(sequence);
          latest.set(label, sequence);
          await turn();
          // They say so when it is above that of the announcement.
          return seen > sequence ? seen : 0;
        },
      },
      observer: {},
      logger: silent,
    },
    HOUR_MS,
  );
  t.after(() => {
    announcer.stop();
  });
  announcer.follow(20);
  return announcer;
}

beforeEach(() => {
  sequences = [];
  latest = new Map();
  seen = 0;
});

const wallClock = (): number => performance.timeOrigin + performance.now();
let names = 0;
const provide = (announcer: RegionAnnouncer) =>
  announcer.provide([routingKey(`key ${String(++names)}`)]);

describe('The sequence of announcements', () => {
  it('is the time, so that it grows over a restart', async (t) => {
    const before = wallClock();
    await provide(start(t));
    await provide(start(t));
    const [first = 0, second = 0] = sequences;
    assert.ok(first >= Math.floor(before) && first <= wallClock());
    assert.ok(second >= first);
  });

  it('is raised for all regions that were announced at the same time', async (t) => {
    const announcer = start(t);
    announcer.follow(1000);
    seen = Math.floor(wallClock()) + HOUR_MS;
    await announcer.provide(Array.from({ length: 60 }, (_, at) => routingKey(`of ${String(at)}`)));
    assert.ok(latest.size > 8, `${String(latest.size)} regions, some at a time`);
    for (const sequence of latest.values()) assert.ok(sequence > seen, String(sequence - seen));
  });

  it('is raised above what peers have seen, and the keys are announced again', async (t) => {
    const announcer = start(t);
    seen = Math.floor(wallClock()) + HOUR_MS;
    await provide(announcer);
    assert.equal(sequences.length, 2);
    assert.equal(sequences[1], seen + 1);
    await provide(announcer);
    assert.equal(sequences.length, 3);
    assert.equal(sequences[2], seen + 2);
  });

  it('is raised once a minute at most', async (t) => {
    let laterMs = 0;
    const now = performance.now.bind(performance);
    t.mock.method(performance, 'now', () => now() + laterMs);
    const announcer = start(t);
    seen = Math.floor(wallClock()) + HOUR_MS;
    await provide(announcer);
    const first = seen;
    seen += HOUR_MS;
    laterMs = 59_000;
    await provide(announcer);
    assert.deepEqual(sequences.slice(1), [first + 1, first + 2]);
    laterMs = 60_000;
    await provide(announcer);
    assert.equal(sequences.at(-1), seen + 1);
    assert.equal(sequences.length, 5);
  });

  it('is not raised to what lies more than a year ahead', async (t) => {
    const announcer = start(t);
    seen = Math.floor(wallClock()) + 367 * 24 * HOUR_MS;
    await provide(announcer);
    assert.equal(sequences.length, 1);
    seen = Math.floor(wallClock()) + 365 * 24 * HOUR_MS;
    await provide(announcer);
    assert.equal(sequences.at(-1), seen + 1);
  });
});
