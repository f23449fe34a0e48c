import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MemoryIngests } from '../store/memory-ingests.ts';
import type { Ingests } from '../store/ingests.ts';
import { fanOutState, whyNoFanOut } from './fan-out-state.ts';

const ON = { 'fan-out': true };
const OFF = { 'fan-out': false };
const counts = { peers: 3, speakers: 2 };
const asked: string[] = [];
const router = {
  countSpeakers: (protocol: string) => {
    asked.push(protocol);
    return counts;
  },
};

describe('fanOutState', () => {
  it('has no reason while nothing is in the way, and counts who takes part', async () => {
    const store = { ingests: new MemoryIngests() };
    const state = await fanOutState(ON, { store, router });
    assert.deepEqual(state, { enabled: true, seesDownloads: true, ...counts });
    assert.deepEqual(asked.at(-1), '/peerglass/downloads/1.0.0');
  });

  it('names the option that switches it off', async () => {
    const store = { ingests: new MemoryIngests() };
    const { enabled, reason } = await fanOutState(OFF, { store, router });
    assert.deepEqual([enabled, reason], [false, '--fan-out=false']);
  });

  it('is off for a store without unfinished downloads', async () => {
    const { enabled, seesDownloads, reason } = await fanOutState(ON, { store: {}, router });
    assert.deepEqual([enabled, seesDownloads], [false, false]);
    assert.match(reason ?? '', /--oci-layout/);
  });

  it('is on, and has a reason, when this process cannot see the downloads', async () => {
    const ingests: Ingests = {
      has: () => Promise.resolve(false),
      open: () => Promise.resolve(undefined),
      problem: () => Promise.resolve('/content/ingest cannot be read (ENOENT)'),
    };
    const { enabled, seesDownloads, reason } = await fanOutState(ON, {
      store: { ingests },
      router,
    });
    assert.deepEqual([enabled, seesDownloads], [true, false]);
    assert.equal(reason, '/content/ingest cannot be read (ENOENT)');
  });
});

describe('whyNoFanOut', () => {
  it('is undefined where a node takes part', () => {
    assert.equal(whyNoFanOut(ON, { ingests: new MemoryIngests() }), undefined);
    assert.notEqual(whyNoFanOut(OFF, { ingests: new MemoryIngests() }), undefined);
    assert.notEqual(whyNoFanOut(ON, {}), undefined);
  });
});
