import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Content, ContentSource } from '../../../content/content-source.ts';
import type { ContentRequest } from '../../../oci/content-request.ts';
import type { Digest } from '../../../oci/digest.ts';
import { MemoryNetwork, MemoryRouter } from '../../../routing/memory-router.ts';
import { MemoryIngests } from '../../../store/memory-ingests.ts';
import { MemoryStore } from '../../../store/memory-store.ts';
import { ScriptedArbiters, ScriptedFollowers } from '../../../testing/scripted-arbiters.ts';
import { silent } from '../../../testing/test-network.ts';
import { Downloads } from '../../downloads/downloads.ts';
import type { Decision } from '../../question.ts';
import { NamedMembers } from '../../wire/named-members.ts';
import { KnownHolders } from '../known-holders.ts';
import { FanOutSource, type FanOutSourceInit, type WaitOutcome } from '../fan-out-source.ts';

const DIGEST = `sha256:${'7'.repeat(64)}` as Digest;
const SELF = '12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA';
const PEER = '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2';
const FOLLOW: Decision = { kind: 'follow', renewMs: 50, parent: { peerId: PEER, origins: [] } };
const REQUEST: ContentRequest = {
  kind: 'blob',
  method: 'GET',
  registry: 'registry.example',
  repository: 'team/image',
  digest: DIGEST,
};
const VERIFIED_SIZE = 100;
const { signal } = new AbortController();

/** Peers that are named by the arbiter, and of which none serves. */
class Unserved implements ContentSource {
  readonly #downloads: Downloads;
  fetches = 0;
  /** Called when none has served. */
  onMiss: () => void = () => undefined;

  constructor(downloads: Downloads) {
    this.#downloads = downloads;
  }

  async fetch(request: ContentRequest): Promise<Content | undefined> {
    this.fetches += 1;
    await this.#downloads.find(request, signal);
    this.onMiss();
    return undefined;
  }
}

function start(t: TestContext, init: Partial<FanOutSourceInit> = {}) {
  const ingests = new MemoryIngests();
  const store = new MemoryStore(ingests);
  const arbiters = new ScriptedArbiters();
  arbiters.decision = FOLLOW;
  const network = new MemoryNetwork();
  network.join({ peerId: PEER, origins: ['http://10.0.0.2:5000'] });
  const router = new MemoryRouter({ network }, { peerId: SELF, origins: [] });
  const downloads = new Downloads({
    ...{ store, arbiters, named: new NamedMembers({ router }), logger: silent },
    followers: new ScriptedFollowers(),
  });
  t.after(() => downloads.stop());
  const following = { large: new Unserved(downloads), small: new Unserved(downloads) };
  const outcomes: WaitOutcome[] = [];
  const source = new FanOutSource(
    {
      ...{ downloads, store, following, holders: new KnownHolders({ router }) },
      onWaited: (outcome) => outcomes.push(outcome),
    },
    { verifiedSize: VERIFIED_SIZE, ...init },
  );
  return { source, ingests, arbiters, following, outcomes };
}

describe('the tries of FanOutSource', () => {
  it('sends a request to four parents at most', async (t) => {
    const { source, following, outcomes } = start(t, { triesMs: Infinity });
    assert.equal(await source.fetch(REQUEST, signal), undefined);
    assert.equal(following.small.fetches, 4);
    assert.deepEqual(outcomes, ['upstream']);
  });

  it('sends it to no other parent when the time for that is over', async (t) => {
    const { source, following, outcomes } = start(t, { triesMs: 0 });
    assert.equal(await source.fetch(REQUEST, signal), undefined);
    assert.equal(following.small.fetches, 1);
    assert.deepEqual(outcomes, ['upstream']);
  });

  it('gives up when the arbiter sends this node upstream', async (t) => {
    const { source, arbiters, following, outcomes } = start(t);
    following.small.onMiss = () => {
      arbiters.decision = { kind: 'fetch', renewMs: 50 };
    };
    assert.equal(await source.fetch(REQUEST, signal), undefined);
    assert.equal(following.small.fetches, 2);
    assert.deepEqual(outcomes, ['upstream']);
  });

  it('follows large blobs another way than content that peers verify first', async (t) => {
    const { source, ingests, following } = start(t, { triesMs: 0 });
    ingests.begin(DIGEST, VERIFIED_SIZE + 1);
    await source.fetch(REQUEST, signal);
    assert.deepEqual([following.large.fetches, following.small.fetches], [1, 0]);
  });

  it('asks nothing for a tag, or a request by HEAD', async (t) => {
    const { source, arbiters } = start(t);
    await source.fetch({ ...REQUEST, method: 'HEAD' }, signal);
    const { digest, ...byTag } = REQUEST;
    assert.ok(digest);
    await source.fetch({ ...byTag, tag: '1.0' }, signal);
    assert.deepEqual(arbiters.questions, []);
  });
});
