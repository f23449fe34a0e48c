import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { LocalSource } from '../../content/local-source.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Ingests } from '../../store/ingests.ts';
import { MemoryIngests } from '../../store/memory-ingests.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { eventually } from '../../testing/eventually.ts';
import { makeImage } from '../../testing/image.ts';
import { quiet } from '../../testing/quiet.ts';
import { FollowedSource } from './followed-source.ts';
import { DownloadFollowers } from './followers.ts';
import { Tails } from './tail/tails.ts';

const NEVER = new AbortController().signal;
const image = makeImage(1_001, 1_000);
const [large, small] = image.layers as [Digest, Digest];
const { digest: manifest } = image.manifest;

function bytesOf(digest: Digest): Buffer {
  return image.blobs.get(digest) ?? Buffer.alloc(0);
}

function request(digest: Digest, change: Partial<ContentRequest> = {}): ContentRequest {
  const kind = digest === manifest ? 'manifest' : 'blob';
  return { kind, method: 'GET', registry: 'registry.example', repository: 'a', digest, ...change };
}

/** How often downloads were opened and not closed. */
class CountedIngests implements Ingests {
  readonly #ingests: MemoryIngests;
  opened = 0;
  unclosed = 0;

  constructor(ingests: MemoryIngests) {
    this.#ingests = ingests;
  }

  has(digest: Digest): Promise<boolean> {
    return this.#ingests.has(digest);
  }

  async open(digest: Digest) {
    const ingest = await this.#ingests.open(digest);
    if (ingest === undefined) return undefined;
    this.opened += 1;
    this.unclosed += 1;
    const close = ingest[Symbol.asyncDispose].bind(ingest);
    ingest[Symbol.asyncDispose] = async () => {
      this.unclosed -= 1;
      await close();
    };
    return ingest;
  }
}

function make(waitMs?: number, tails?: Pick<Tails, 'follow'>) {
  const ingests = new MemoryIngests();
  const counted = new CountedIngests(ingests);
  const store = new MemoryStore(counted);
  const local = new LocalSource({ store, logger: quiet });
  const followers = new DownloadFollowers();
  const source = new FollowedSource(
    { store, local, followers, ...(tails && { tails }) },
    { verifiedSize: 1_000, ...(waitMs !== undefined && { waitMs }) },
  );
  return { ingests, counted, store, followers, source };
}

describe('FollowedSource', () => {
  it('gives a large blob while it arrives, and eight places for it', async () => {
    const { ingests, counted, followers, source } = make();
    ingests.begin(large, 1_001);
    const content = await source.fetch(request(large), NEVER);
    assert.equal(content?.kind, 'stream');
    assert.equal(content.isGrowing, true);
    assert.equal(content.descriptor.size, 1_001);
    assert.equal(followers.state(large).children, 1);
    const others = [];
    for (let count = 0; count < 7; count++) others.push(await source.fetch(request(large), NEVER));
    assert.equal(await source.fetch(request(large), NEVER), undefined, 'refused');
    for (const it of [content, ...others]) await it?.held?.[Symbol.asyncDispose]();
    assert.equal(followers.state(large).children, 0);
    assert.equal(counted.unclosed, 0);
  });

  it('begins no tail for a follower that it refuses', async (t) => {
    const tails = new Tails();
    const follow = t.mock.method(tails, 'follow');
    const { ingests, source } = make(undefined, tails);
    ingests.begin(large, 1_001);
    const taken = [];
    for (let count = 0; count < 8; count++) taken.push(await source.fetch(request(large), NEVER));
    assert.equal(await source.fetch(request(large), NEVER), undefined);
    assert.equal(follow.mock.callCount(), 8);
    for (const it of taken) await it?.held?.[Symbol.asyncDispose]();
  });

  for (const digest of [small, manifest]) {
    it(`gives ${digest === small ? 'a small blob' : 'a manifest'} once it is committed`, async () => {
      const { ingests, counted, store, followers, source } = make();
      const bytes = bytesOf(digest);
      const download = ingests.begin(digest, bytes.length);
      const all = Promise.all([0, 1, 2].map(() => source.fetch(request(digest), NEVER)));
      download.write(bytes.subarray(0, 10));
      download.write(bytes.subarray(10));
      await eventually(() => {
        assert.equal(counted.unclosed, 1, 'one open file for all');
      });
      assert.equal(followers.state(digest).children, 0);
      download.end();
      await new Promise(setImmediate);
      store.putBlob(bytes);
      for (const content of await all) {
        assert.equal(content?.descriptor.digest, digest);
        assert.equal(content.isGrowing, undefined);
        await content.held?.[Symbol.asyncDispose]();
      }
      assert.equal(counted.unclosed, 0);
    });
  }

  it('gives nothing when small content is given up, or does not come in time', async () => {
    const { ingests, counted, source } = make();
    const download = ingests.begin(small, 1_000);
    const fetched = source.fetch(request(small), NEVER);
    await eventually(() => {
      assert.equal(counted.opened, 2);
    });
    download.end();
    assert.equal(await fetched, undefined);
    const hasty = make(1);
    hasty.ingests.begin(small, 1_000);
    assert.equal(await hasty.source.fetch(request(small), NEVER), undefined);
    await eventually(() => {
      assert.equal(hasty.counted.unclosed, 0);
    });
  });

  it('stops waiting when the client leaves', async () => {
    const { ingests, counted, source } = make();
    ingests.begin(small, 1_000);
    const gone = new AbortController();
    const fetched = source.fetch(request(small), gone.signal);
    gone.abort(new Error('left'));
    await assert.rejects(fetched, /left/);
    await eventually(() => {
      assert.equal(counted.unclosed, 0);
    });
  });

  it('has a bounded number of requests wait', async () => {
    const { ingests, source } = make();
    ingests.begin(manifest, 10);
    const gone = new AbortController();
    const waiting = Array.from({ length: 256 }, () => source.fetch(request(manifest), gone.signal));
    const ended = Promise.allSettled(waiting);
    await new Promise(setImmediate);
    assert.equal(await source.fetch(request(manifest), NEVER), undefined);
    gone.abort();
    await ended;
    const again = new AbortController();
    const fetched = source.fetch(request(manifest), again.signal);
    await new Promise(setImmediate);
    again.abort(new Error('it waited'));
    await assert.rejects(fetched, /it waited/);
  });

  it('answers a HEAD at once, with the size of a blob', async () => {
    const { ingests, counted, followers, source } = make();
    for (const [digest, size] of [
      [large, 1_001],
      [small, 1_000],
    ] as const) {
      ingests.begin(digest, size);
      const content = await source.fetch(request(digest, { method: 'HEAD' }), NEVER);
      assert.deepEqual([content?.kind, content?.descriptor.size], ['head', size]);
    }
    ingests.begin(manifest, 10);
    assert.equal(await source.fetch(request(manifest, { method: 'HEAD' }), NEVER), undefined);
    assert.equal(followers.state(large).children, 0);
    assert.equal(counted.unclosed, 0);
  });

  it('gives nothing that does not arrive, whose size is not known, that is wrong, or by tag', async () => {
    const { ingests, counted, store, followers, source } = make();
    assert.equal(await source.fetch(request(large), NEVER), undefined);
    assert.equal(await source.fetch(request(manifest), NEVER), undefined);
    ingests.begin(large);
    assert.equal(await source.fetch(request(large), NEVER), undefined);
    assert.equal(counted.unclosed, 0);
    ingests.begin(large, 1_001);
    followers.markWrong(large);
    assert.ok(source.isWrong(large));
    assert.equal(await source.fetch(request(large), NEVER), undefined);
    const { digest, ...tagged } = request(manifest, { tag: '1.0' });
    assert.ok(digest !== undefined);
    assert.equal(await source.fetch(tagged, NEVER), undefined);
    const local = new LocalSource({ store, logger: quiet });
    const none = new FollowedSource(
      { store: new MemoryStore(), local, followers },
      { verifiedSize: 1_000 },
    );
    assert.equal(await none.fetch(request(small), NEVER), undefined);
  });

  it('gives what was committed since the local source was asked', async () => {
    const { store, source } = make();
    for (const digest of [large, manifest]) {
      store.putBlob(bytesOf(digest));
      const content = await source.fetch(request(digest), NEVER);
      assert.equal(content?.descriptor.digest, digest);
      await content.held?.[Symbol.asyncDispose]();
    }
  });
});
