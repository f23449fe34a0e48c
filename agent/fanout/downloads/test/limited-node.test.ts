import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import {
  DIGEST,
  DownloadsFixture,
  FETCH,
  follow,
  PEER,
  requestFor,
} from '../../../testing/downloads-fixture.ts';
import { eventually } from '../../../testing/eventually.ts';
import type { Decision } from '../../question.ts';

const { signal } = new AbortController();
const LEFT: Decision = { kind: 'alone', forMs: 5_000 };

function start(t: TestContext): DownloadsFixture {
  const fixture = new DownloadsFixture();
  t.after(() => fixture.downloads.stop());
  fixture.ingests.begin(DIGEST);
  fixture.mayFetch = false;
  return fixture;
}

/** Whether it has offered to fetch, question by question. */
const offers = ({ arbiters }: DownloadsFixture): boolean[] =>
  arbiters.questions.filter(({ state }) => state === 'wants').map(({ canFetch }) => canFetch);

describe('a node that its registry limits', () => {
  it('follows a node that the registry serves, and does not offer to fetch', async (t) => {
    const fixture = start(t);
    fixture.arbiters.decision = follow(PEER);
    const { decision } = await fixture.downloads.find(requestFor(DIGEST), signal);
    assert.equal(decision.kind, 'follow');
    assert.deepEqual(offers(fixture), [false]);
  });

  it('waits a moment for such a node', async (t) => {
    const fixture = start(t);
    fixture.arbiters.decision = LEFT;
    const found = fixture.downloads.find(requestFor(DIGEST), signal);
    await eventually(() => {
      assert.ok(offers(fixture).length >= 2);
    });
    fixture.arbiters.decision = follow(PEER);
    assert.equal((await found).decision.kind, 'follow');
  });

  it('goes to the registry all the same when there is none, or no arbiter answers', async (t) => {
    for (const [decision, questions] of [
      [LEFT, 7],
      [{ kind: 'alone', forMs: 0 }, 1],
    ] as const) {
      const fixture = start(t);
      fixture.arbiters.decision = decision;
      const found = await fixture.downloads.find(requestFor(DIGEST), signal);
      assert.equal(found.decision.kind, 'alone');
      assert.deepEqual(offers(fixture), Array(questions).fill(false));
    }
  });

  it('fetches again once the registry serves it', async (t) => {
    const fixture = start(t);
    fixture.mayFetch = true;
    fixture.arbiters.decision = FETCH;
    await fixture.downloads.find(requestFor(DIGEST), signal);
    assert.deepEqual(offers(fixture), [true]);
  });
});
