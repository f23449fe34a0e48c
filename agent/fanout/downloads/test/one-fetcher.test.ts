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
    await find();
    const asked = arbiters.questions.filter(({ state }) => state === 'wants').slice(2);
    assert.deepEqual(
      asked.map(({ canFetch }) => canFetch),
      [false, false, false, false, true],
      'it waits for a while before it offers',
    );
  });

  it('is another one where a peer holds the manifest', async () => {
    downloads.isLed({ ...requestFor(digestOf(1)), kind: 'manifest' });
    ingests.begin(DIGEST);
    arbiters.decision = follow(PEER);
    await find();
    assert.equal(arbiters.questions[0]?.canFetch, false);
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
      assert.equal(waiting.signal.aborted, true);
    });
    assert.equal(second.signal.aborted || third.signal.aborted, false, 'one place may do');
    const state = downloads.status().find(({ digest }) => digest === digestOf(2))?.state;
    assert.equal(state, 'fetching');
    assert.equal((await downloads.find(other, signal)).decision.kind, 'follow');
    using further = downloads.wait(digestOf(5));
    await eventually(() => {
      for (const each of [further, third]) assert.equal(each.signal.aborted, true);
    });
    using more = downloads.wait(digestOf(6));
    await eventually(() => {
      for (const each of [more, second]) assert.equal(each.signal.aborted, true);
    });
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
    using first = downloads.wait(digestOf(2));
    using second = downloads.wait(digestOf(3));
    using third = downloads.wait(digestOf(4));
    for (let times = 0; times < 3; times += 1) downloads.trickled(DIGEST);
    assert.equal(downloads.status()[0]?.state, 'fetching');
    await eventually(() => {
      assert.equal(third.signal.aborted, true);
    });
    assert.equal(first.signal.aborted || second.signal.aborted, false);
  });
});
