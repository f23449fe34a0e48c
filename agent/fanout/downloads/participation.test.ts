import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { beforeEach, describe, it, type TestContext } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import { MemoryIngests, type MemoryDownload } from '../../store/memory-ingests.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { eventually } from '../../testing/eventually.ts';
import { ScriptedArbiters, ScriptedFollowers } from '../../testing/scripted-arbiters.ts';
import { silent } from '../../testing/test-network.ts';
import { Participation, type Role } from './participation.ts';

const BYTES = Buffer.alloc(1000, 7);
const DIGEST = `sha256:${createHash('sha256').update(BYTES).digest('hex')}` as Digest;
const PARENT = 'parent';

let ingests: MemoryIngests;
let store: MemoryStore;
let download: MemoryDownload;
let arbiters: ScriptedArbiters;
let followers: ScriptedFollowers;
let ends: number;

beforeEach(() => {
  ingests = new MemoryIngests();
  store = new MemoryStore(ingests);
  download = ingests.begin(DIGEST, BYTES.length);
  arbiters = new ScriptedArbiters();
  followers = new ScriptedFollowers();
  ends = 0;
});

async function begin(
  t: TestContext,
  role: Role = { state: 'fetching' },
  renewMs = 50,
): Promise<Participation> {
  const ingest = await ingests.open(DIGEST);
  assert.ok(ingest);
  const onEnd = (): void => {
    ends += 1;
  };
  const participation = new Participation(
    { ingest, store, arbiters, followers, failed: { of: () => ['bad'] }, logger: silent },
    { zone: 'a', role, renewMs, onEnd },
    await ingest.progress(),
  );
  t.after(() => participation.stop());
  return participation;
}

describe('Participation', () => {
  it('reports again and again how far the download has come', async (t) => {
    await begin(t);
    download.write(BYTES.subarray(0, 100));
    await eventually(() => {
      assert.deepEqual(arbiters.last, {
        digest: DIGEST,
        state: 'fetching',
        offset: 100,
        size: 1000,
        failed: ['bad'],
        canFetch: true,
        children: 0,
        isRoomy: true,
        zone: 'a',
      });
    });
    const { length } = arbiters.questions;
    await eventually(() => {
      assert.ok(arbiters.questions.length >= length + 2);
    });
  });

  it('reports whom it follows, and what it does after another answer', async (t) => {
    const participation = await begin(t, { state: 'following', parent: PARENT });
    await eventually(() => {
      assert.equal(arbiters.last?.parent, PARENT);
      assert.equal(arbiters.last.state, 'following');
    });
    participation.change({ state: 'fetching' }, 50);
    await eventually(() => {
      assert.equal(arbiters.last?.state, 'fetching');
      assert.equal(arbiters.last.parent, undefined);
    });
    assert.equal(participation.status().state, 'fetching');
  });

  it('reports as a fetch what it takes from a holder, which is no fetch from the registry', async (t) => {
    const ingest = await ingests.open(DIGEST);
    assert.ok(ingest);
    const seen: string[] = [];
    const observer = {
      received: (state: Role['state'], bytes: number) => void seen.push(`${bytes} ${state}`),
      fetched: () => void seen.push('fetched'),
    };
    const participation = new Participation(
      {
        ...{ ingest, store, arbiters, followers, logger: silent },
        failed: { of: () => [] },
        observer,
      },
      { zone: '', role: { state: 'taking' }, renewMs: 50, onEnd: () => undefined },
      await ingest.progress(),
    );
    t.after(() => participation.stop());
    download.write(BYTES);
    await eventually(() => {
      assert.deepEqual(seen, ['1000 taking']);
      assert.equal(arbiters.last?.offset, 1000);
    });
    assert.deepEqual(arbiters.states, ['fetching']);
    assert.equal(participation.status().state, 'taking');
  });

  it('ends with the report that the store has it', async (t) => {
    const participation = await begin(t);
    download.write(BYTES);
    download.end();
    // The store has it a moment after the ingest has gone.
    await eventually(() => {
      assert.equal(participation.isRunning, false);
    });
    store.putBlob(BYTES);
    await eventually(() => {
      assert.equal(ends, 1);
    });
    const { state, offset, size } = arbiters.last ?? {};
    assert.deepEqual([state, offset, size], ['held', 1000, 1000]);
  });

  it('ends with the report that the download was given up', async (t) => {
    await begin(t);
    download.end();
    await eventually(() => {
      assert.equal(ends, 1);
    });
    assert.equal(arbiters.last?.state, 'failed');
    const { length } = arbiters.questions;
    assert.equal(arbiters.questions.filter(({ state }) => state === 'failed').length, 1);
    assert.equal(arbiters.questions.length, length);
  });

  it('ends with the report that it has failed when nothing arrives for three minutes', async (t) => {
    await begin(t);
    const now = performance.now.bind(performance);
    let later = 170_000;
    t.mock.method(performance, 'now', () => now() + later);
    const { length } = arbiters.questions;
    await eventually(() => {
      assert.ok(arbiters.questions.length > length);
    });
    download.write(BYTES.subarray(0, 10));
    await eventually(() => {
      assert.equal(arbiters.last?.offset, 10);
    });
    later += 170_000;
    await eventually(() => {
      assert.ok(arbiters.questions.length > length + 3);
    });
    assert.equal(ends, 0);
    later += 20_000;
    await eventually(() => {
      assert.equal(ends, 1);
    });
    assert.equal(arbiters.last?.state, 'failed');
  });

  it('takes a store that cannot be reached for one that has not got it yet', async (t) => {
    await begin(t);
    store.putBlob(BYTES);
    store.available = false;
    download.end();
    await eventually(() => {
      assert.equal(ends, 1);
    });
    assert.equal(arbiters.last?.state, 'failed');
  });

  it('ends with the report that the content is wrong', async (t) => {
    const participation = await begin(t, { state: 'fetching' }, 5000);
    participation.wrong();
    assert.equal(participation.isRunning, false);
    await eventually(() => {
      assert.equal(ends, 1);
    });
    assert.deepEqual(arbiters.states, ['wrong']);
  });

  it('reports new followers soon, and not each of many at once', async (t) => {
    const participation = await begin(t, { state: 'fetching' }, 5000);
    arbiters.reply = { kind: 'go-on', renewMs: 5000 };
    followers.children = 1;
    participation.followersChanged();
    await eventually(() => {
      assert.equal(arbiters.last?.children, 1);
    });
    const start = performance.now();
    for (let children = 2; children < 200; children++) {
      followers.children = children;
      participation.followersChanged();
      await new Promise(setImmediate);
    }
    await eventually(() => {
      assert.equal(arbiters.last?.children, 199);
    });
    const atMost = 2 + (performance.now() - start) / 200;
    assert.ok(arbiters.questions.length <= atMost, String(arbiters.questions.length));
  });

  it('reports a change that comes while a report is on its way', async (t) => {
    const participation = await begin(t);
    arbiters.reply = { kind: 'go-on', renewMs: 5000 };
    const ask = arbiters.ask.bind(arbiters);
    t.mock.method(arbiters, 'ask', async (...words: Parameters<typeof ask>) => {
      const answer = await ask(...words);
      if (followers.children === 0) {
        followers.children = 1;
        participation.followersChanged();
      }
      return answer;
    });
    await eventually(() => {
      assert.equal(arbiters.last?.children, 1);
    });
  });

  it('goes on when the arbiter does not know of it any more', async (t) => {
    await begin(t, { state: 'following', parent: PARENT });
    for (const reply of [
      { kind: 'alone', forMs: 0 },
      { kind: 'fetch', renewMs: 50 },
      { kind: 'held', holders: [] },
    ] as const) {
      arbiters.reply = reply;
      const { length } = arbiters.questions;
      await eventually(() => {
        assert.ok(arbiters.questions.length > length + 1);
      });
      assert.equal(arbiters.last?.state, 'following');
    }
  });

  it('reports no more often than the bound, whatever an arbiter says', async (t) => {
    arbiters.reply = { kind: 'go-on', renewMs: 0 };
    const start = performance.now();
    await begin(t, { state: 'fetching' }, 0);
    await eventually(() => {
      assert.ok(arbiters.questions.length >= 4);
    });
    assert.ok(arbiters.questions.length <= 1 + (performance.now() - start) / 50);
  });

  it('says how fast the bytes come, and how many follow', async (t) => {
    const participation = await begin(t, { state: 'following', parent: PARENT });
    followers.children = 2;
    assert.deepEqual(participation.status(), {
      state: 'following',
      parent: PARENT,
      offset: 0,
      size: 1000,
      bytesPerSecond: 0,
      children: 2,
    });
    let written = 0;
    await eventually(() => {
      if (written < 900) download.write(BYTES.subarray(0, 10));
      written += 10;
      const { bytesPerSecond, offset } = participation.status();
      assert.ok(bytesPerSecond > 0 && offset > 0);
    });
    download.restart();
    await eventually(() => {
      assert.deepEqual(participation.status().offset, 0);
    });
    assert.ok(participation.status().bytesPerSecond >= 0);
  });

  it('stops at once, also while an arbiter hangs, and leaves the ingest', async (t) => {
    arbiters.hangs = true;
    const participation = await begin(t);
    await eventually(() => {
      assert.equal(arbiters.questions.length, 1);
    });
    await participation.stop();
    assert.equal(ends, 1);
    assert.equal(participation.isRunning, false);
    await participation.stop();
  });
});
