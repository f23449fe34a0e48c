import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';

import type { MemoryIngests } from '../../../store/memory-ingests.ts';
import { digestOf } from '../../../testing/arbiter-fixture.ts';
import {
  DIGEST,
  DownloadsFixture,
  FETCH,
  follow,
  PEER,
  requestFor,
} from '../../../testing/downloads-fixture.ts';
import { eventually } from '../../../testing/eventually.ts';
import type { ScriptedArbiters } from '../../../testing/scripted-arbiters.ts';
import { pause } from '../../../timing/pause.ts';
import type { Downloads } from '../downloads.ts';

const { signal } = new AbortController();

let ingests: MemoryIngests;
let arbiters: ScriptedArbiters;
let downloads: Downloads;

function start(t: TestContext): void {
  ({ ingests, arbiters, downloads } = new DownloadsFixture());
  t.after(() => downloads.stop());
}

const find = () => downloads.find(requestFor(DIGEST), signal);

describe('one node that fetches all of an image', () => {
  beforeEach((t) => {
    start(t as TestContext);
  });

  it('gets a blob that it asks for, and another node fetches one that it does not ask for', async () => {
    arbiters.decision = follow(PEER);
    await downloads.find({ ...requestFor(digestOf(1)), kind: 'manifest' }, signal);
    ingests.begin(DIGEST);
    await find();
    assert.equal(arbiters.questions[1]?.canFetch, false);
    assert.equal(arbiters.questions.length, 2);
    arbiters.decision = { kind: 'alone', forMs: 5_000 };
    const found = find();
    await eventually(() => {
      assert.equal(arbiters.states.length > 0 && arbiters.questions.length >= 3, true);
    });
    arbiters.decision = FETCH;
    assert.deepEqual(await found, { decision: FETCH, providers: [] });
    const asked = arbiters.questions.filter(({ state }) => state === 'wants');
    assert.deepEqual(
      asked.map(({ canFetch }) => canFetch),
      [false, false, false, true],
    );
  });

  it('is replaced at once when it has failed', async () => {
    arbiters.decision = follow(PEER);
    await downloads.find({ ...requestFor(digestOf(1)), kind: 'manifest' }, signal);
    ingests.begin(DIGEST);
    downloads.failed(DIGEST, PEER);
    arbiters.decision = FETCH;
    await find();
    const asked = arbiters.questions.filter(({ digest }) => digest === DIGEST);
    assert.deepEqual(
      asked.map(({ canFetch }) => canFetch),
      [true],
    );
  });

  it('is not waited for by requests that keep the client from beginning what it is to fetch', async () => {
    ingests.begin(DIGEST);
    const sent = downloads.wait(DIGEST);
    await find();
    sent[Symbol.dispose]();
    arbiters.decision = follow(PEER);
    const other = requestFor(digestOf(2));
    ingests.begin(digestOf(2));
    using second = downloads.wait(digestOf(3));
    using third = downloads.wait(digestOf(4));
    {
      using served = downloads.wait(digestOf(2));
      downloads.begins(digestOf(2));
      await pause(1_100, signal);
      assert.equal(served.signal.aborted, false, 'its first bytes are on their way');
    }
    using waiting = downloads.wait(digestOf(2));
    assert.equal((await downloads.find(other, signal)).decision.kind, 'follow');
    await eventually(() => {
      for (const each of [waiting, second, third]) assert.equal(each.signal.aborted, true);
    });
    const state = downloads.status().find(({ digest }) => digest === digestOf(2))?.state;
    assert.equal(state, 'fetching');
    assert.deepEqual(await downloads.find(other, signal), {
      decision: { kind: 'alone', forMs: 0 },
      providers: [],
    });
    downloads.begins(DIGEST);
    assert.equal((await downloads.find(other, signal)).decision.kind, 'alone');
    downloads.begins(digestOf(2));
    assert.equal((await downloads.find(other, signal)).decision.kind, 'follow');
  });

  it('is not waited for either while a content does not begin whose peers trickled', async () => {
    ingests.begin(DIGEST);
    arbiters.decision = follow(PEER);
    await find();
    const waits = [2, 3, 4].map((at) => downloads.wait(digestOf(at)));
    for (let times = 0; times < 3; times += 1) downloads.trickled(DIGEST);
    assert.equal(downloads.status()[0]?.state, 'fetching');
    await eventually(() => {
      for (const each of waits) assert.equal(each.signal.aborted, true);
    });
    for (const each of waits) each[Symbol.dispose]();
  });
});
