import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';

import type { Content, ContentSource } from '../../../content/content-source.ts';
import type { ContentRequest } from '../../../oci/content-request.ts';
import { MEDIA_TYPE } from '../../../oci/media-type.ts';
import {
  DIGEST,
  DownloadsFixture,
  FETCH,
  follow,
  ORIGINS,
  PEER,
  requestFor,
} from '../../../testing/downloads-fixture.ts';
import { eventually } from '../../../testing/eventually.ts';
import { peerIdOf } from '../../../routing/lookup/named-provider.ts';
import { ParentFinder } from '../../downloads/parent-finder.ts';
import type { Decision } from '../../question.ts';
import { FanOutSource, type WaitOutcome } from '../fan-out-source.ts';

const OTHER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
const MANIFEST = { ...requestFor(DIGEST), kind: 'manifest' } as const;
const SILENT_MS = 20;
const { signal } = new AbortController();

/** A peer that sends what the test gives it, and says nothing before. */
class Silent implements ContentSource {
  readonly #finder: ParentFinder;
  /** Whom each look-up has found. */
  readonly asked: string[][] = [];
  give: (content: Content) => void = () => undefined;

  constructor(finder: ParentFinder) {
    this.#finder = finder;
  }

  async fetch(
    { digest = DIGEST }: ContentRequest,
    abort: AbortSignal,
  ): Promise<Content | undefined> {
    const found: string[] = [];
    for await (const { peerId } of this.#finder.lookup(digest, abort)) found.push(peerIdOf(peerId));
    this.asked.push(found);
    if (found.length === 0) return undefined;
    const given = new Promise<Content>((resolve) => (this.give = resolve));
    const left = once(abort, 'abort').then(() => {
      throw abort.reason;
    });
    return await Promise.race([given, left]);
  }
}

function start(t: TestContext) {
  const { downloads, arbiters, ingests } = new DownloadsFixture();
  t.after(() => downloads.stop());
  ingests.begin(DIGEST);
  const finder = new ParentFinder(downloads);
  const [large, small] = [new Silent(finder), new Silent(finder)];
  const outcomes: WaitOutcome[] = [];
  const source = new FanOutSource(
    {
      downloads,
      store: { ingests },
      following: { large, small },
      holders: { areFew: () => Promise.resolve(false) },
      onWaited: (outcome) => outcomes.push(outcome),
    },
    { verifiedSize: 1_000, silentMs: SILENT_MS },
  );
  const fetch = () => source.fetch(MANIFEST, signal);
  const wants = () => arbiters.questions.filter(({ state }) => state === 'wants');
  const role = () => downloads.status()[0]?.state;
  return { arbiters, small, fetch, wants, role, outcomes };
}

function manifest(): Content {
  const descriptor = { mediaType: MEDIA_TYPE.binary, digest: DIGEST, size: 3 };
  return { kind: 'head', descriptor, origin: ORIGINS[0] ?? '' };
}

describe('A peer that is followed for a manifest and says nothing', () => {
  it('is left when the arbiter has this node fetch it: two that follow each other do not wait without end', async (t) => {
    const { arbiters, small, fetch, wants, role, outcomes } = start(t);
    arbiters.first.push(follow(PEER));
    arbiters.decision = FETCH;
    assert.equal(await fetch(), undefined);
    assert.deepEqual(small.asked, [[PEER]]);
    assert.deepEqual(
      wants().map(({ failed }) => failed),
      [[], [PEER]],
    );
    assert.equal(role(), 'fetching');
    assert.deepEqual(outcomes, ['upstream']);
  });

  it('is waited for, on the same request, as long as the arbiter names it: the registry is slow', async (t) => {
    const { arbiters, small, fetch, wants, role } = start(t);
    arbiters.decision = follow(PEER);
    const fetched = fetch();
    await eventually(() => {
      assert.ok(wants().length > 3);
    });
    assert.equal(role(), 'following');
    small.give(manifest());
    assert.equal((await fetched)?.kind, 'head');
    assert.deepEqual(small.asked, [[PEER]]);
  });

  it('is left for another one that the arbiter names', async (t) => {
    const { arbiters, small, fetch } = start(t);
    arbiters.first.push(follow(PEER));
    arbiters.decision = { kind: 'held', holders: [{ peerId: OTHER, origins: ORIGINS }] };
    const fetched = fetch();
    await eventually(() => {
      assert.equal(small.asked.length, 2);
    });
    small.give(manifest());
    assert.equal((await fetched)?.kind, 'head');
    assert.deepEqual(small.asked, [[PEER], [OTHER]]);
  });

  it('is waited for while no arbiter answers', async (t) => {
    const { arbiters, small, fetch, wants, role } = start(t);
    const unanswered: Decision = { kind: 'alone', forMs: 0 };
    arbiters.first.push(follow(PEER));
    arbiters.decision = unanswered;
    const fetched = fetch();
    await eventually(() => {
      assert.ok(wants().length > 2);
    });
    assert.equal(role(), 'following');
    small.give(manifest());
    assert.equal((await fetched)?.kind, 'head');
  });
});
