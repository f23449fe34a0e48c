import assert from 'node:assert/strict';
import { beforeEach, describe, it, type TestContext } from 'node:test';

import type { Digest } from '../../oci/digest.ts';
import type { MemoryIngests } from '../../store/memory-ingests.ts';
import type { MemoryStore } from '../../store/memory-store.ts';
import { digestOf } from '../../testing/arbiter-fixture.ts';
import {
  BYTES,
  DIGEST,
  DownloadsFixture,
  FETCH,
  follow,
  ORIGINS,
  PEER,
  requestFor,
  SELF,
} from '../../testing/downloads-fixture.ts';
import { eventually } from '../../testing/eventually.ts';
import type { ScriptedArbiters, ScriptedFollowers } from '../../testing/scripted-arbiters.ts';
import type { Downloads } from './downloads.ts';

const STRANGER = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
const REQUEST = requestFor(DIGEST);
const { signal } = new AbortController();

let ingests: MemoryIngests;
let store: MemoryStore;
let arbiters: ScriptedArbiters;
let followers: ScriptedFollowers;
let downloads: Downloads;

function start(t: TestContext): void {
  ({ ingests, store, arbiters, followers, downloads } = new DownloadsFixture());
  t.after(() => downloads.stop());
}

const find = () => downloads.find(REQUEST, signal);
const hasEnded = () =>
  eventually(() => {
    assert.deepEqual(downloads.status(), []);
  });

describe('Downloads', () => {
  beforeEach((t) => {
    start(t as TestContext);
  });

  it('ask with what the store has of the content so far', async () => {
    ingests.begin(DIGEST, BYTES.length).write(BYTES.subarray(0, 10));
    followers.children = 3;
    assert.deepEqual(await find(), { decision: FETCH, providers: [] });
    assert.deepEqual(arbiters.questions, [
      {
        digest: DIGEST,
        state: 'wants',
        offset: 10,
        size: 1000,
        failed: [],
        canFetch: true,
        children: 3,
        isRoomy: false,
        zone: 'a',
      },
    ]);
  });

  it('report a fetch until the store has the content', async () => {
    const download = ingests.begin(DIGEST, BYTES.length);
    await find();
    await eventually(() => {
      assert.equal(arbiters.last?.state, 'fetching');
    });
    store.putBlob(BYTES);
    download.end();
    await hasEnded();
    assert.deepEqual(arbiters.states, ['wants', 'fetching', 'held']);
  });

  it('report whom they follow, until the download is given up', async () => {
    const download = ingests.begin(DIGEST);
    arbiters.decision = follow(PEER, ['http://10.9.9.9:5000']);
    const { providers } = await find();
    assert.deepEqual(providers, [{ peerId: PEER, origins: ORIGINS }]);
    await eventually(() => {
      assert.equal(arbiters.last?.parent, PEER);
    });
    download.end();
    await hasEnded();
    assert.deepEqual(arbiters.states, ['wants', 'following', 'failed']);
  });

  it('report a stranger that they follow by its ID alone', async () => {
    ingests.begin(DIGEST);
    arbiters.decision = follow(STRANGER, ORIGINS);
    const { providers } = await find();
    assert.deepEqual(providers, [{ peerId: `${STRANGER}@10.0.0.2:5000`, origins: ORIGINS }]);
    await eventually(() => {
      assert.equal(arbiters.last?.parent, STRANGER);
    });
  });

  it('ask no peer again that has failed twice of late, whatever the arbiter says', async () => {
    arbiters.decision = follow(STRANGER, ORIGINS);
    const [provider] = (await find()).providers;
    downloads.failed(DIGEST, provider?.peerId ?? '');
    assert.equal((await find()).providers.length, 1, 'it may be the right one all the same');
    downloads.failed(DIGEST, provider?.peerId ?? '');
    assert.deepEqual((await find()).providers, []);
    const others = [STRANGER, PEER].map((peerId) => ({ peerId, origins: [] }));
    arbiters.decision = { kind: 'held', holders: others };
    assert.deepEqual((await find()).providers, [{ peerId: PEER, origins: ORIGINS }]);
  });

  it('go upstream when three bodies have trickled, whatever the arbiter says', async () => {
    arbiters.decision = follow(PEER);
    using hand = downloads.begin(REQUEST);
    await find();
    downloads.trickled(DIGEST);
    downloads.trickled(digestOf(1));
    downloads.trickled(DIGEST);
    assert.equal(downloads.goesUpstream(DIGEST), false);
    downloads.trickled(DIGEST);
    assert.equal(downloads.goesUpstream(DIGEST), true);
    assert.equal(hand.decision?.kind, 'alone');
    assert.equal((await find()).decision.kind, 'alone');
    assert.equal(arbiters.questions.filter(({ state }) => state === 'wants').length, 1);
  });

  it('report nothing of a client that has no unfinished download', async () => {
    for (const decision of [FETCH, follow(PEER)]) {
      arbiters.decision = decision;
      assert.equal((await find()).decision, decision);
    }
    assert.deepEqual(downloads.status(), []);
    assert.deepEqual(
      arbiters.questions.map(({ canFetch, offset }) => [canFetch, offset]),
      [
        [false, 0],
        [false, 0],
      ],
    );
  });

  it('report nothing when the content is held, or the arbiter sends this node away', async () => {
    ingests.begin(DIGEST);
    for (const decision of [
      { kind: 'held', holders: [{ peerId: PEER, origins: [] }] },
      { kind: 'go-on', renewMs: 50 },
      { kind: 'alone', forMs: 5_000 },
    ] as const) {
      arbiters.decision = decision;
      const found = await find();
      assert.equal(found.decision, decision);
      assert.equal(found.providers.length, decision.kind === 'held' ? 1 : 0);
    }
    assert.deepEqual(downloads.status(), []);
  });

  it('report what they fetch when the arbiter was late: others can follow it then', async () => {
    ingests.begin(DIGEST);
    arbiters.decision = { kind: 'alone', forMs: 0 };
    await find();
    await eventually(() => {
      assert.equal(arbiters.last?.state, 'fetching');
    });
  });

  it('ask without what a store has that cannot be read', async (t) => {
    t.mock.method(ingests, 'open', () => Promise.reject(new Error('no access')));
    ingests.begin(DIGEST);
    assert.equal((await find()).decision.kind, 'fetch');
    assert.equal(arbiters.last?.canFetch, false);
  });

  it('name the peers that have failed, in questions and in reports', async () => {
    ingests.begin(DIGEST);
    downloads.failed(DIGEST, `${STRANGER}@10.0.0.2:5000`);
    downloads.failed(DIGEST, PEER);
    downloads.failed('docker.io/library/alpine:3', SELF);
    await find();
    assert.deepEqual(arbiters.last?.failed, [PEER, STRANGER]);
    await eventually(() => {
      assert.equal(arbiters.last?.state, 'fetching');
    });
    assert.deepEqual(arbiters.last.failed, [PEER, STRANGER]);
  });

  it('hold it against a parent that it is at a place where no node can be, and do not follow it', async () => {
    ingests.begin(DIGEST);
    arbiters.decision = follow(STRANGER, ['http://169.254.169.254:80', 'http://localhost:5000']);
    assert.deepEqual((await find()).providers, []);
    assert.deepEqual(downloads.status(), []);
    await find();
    assert.deepEqual(arbiters.last?.failed, [STRANGER]);
  });

  it('report another parent, and a fetch, after another question', async () => {
    ingests.begin(DIGEST, BYTES.length);
    arbiters.decision = follow(PEER);
    await find();
    const role = () => {
      const [{ state, parent } = {}] = downloads.status();
      return [state, parent];
    };
    assert.deepEqual(role(), ['following', PEER]);
    arbiters.decision = follow(STRANGER, ORIGINS);
    await find();
    assert.deepEqual(role(), ['following', STRANGER]);
    arbiters.decision = { kind: 'held', holders: [{ peerId: PEER, origins: [] }] };
    await find();
    assert.deepEqual(role(), ['following', PEER]);
    arbiters.decision = { kind: 'alone', forMs: 0 };
    await find();
    assert.deepEqual(role(), ['fetching', undefined]);
    assert.equal(downloads.status().length, 1);
  });

  it('begin anew when the client has begun anew', async () => {
    ingests.begin(DIGEST, BYTES.length).write(BYTES);
    await find();
    ingests.begin(DIGEST, BYTES.length);
    // The first one looks for up to a second whether the store has the content.
    await eventually(async () => {
      await find();
      assert.equal(downloads.status()[0]?.offset, 0);
    });
    await eventually(() => {
      assert.equal(arbiters.last?.state, 'fetching');
    });
    assert.equal(downloads.status().length, 1);
  });

  it('ask nothing for the time for which an arbiter has sent them away', async (t) => {
    arbiters.decision = { kind: 'alone', forMs: 5000 };
    await find();
    const { decision } = await find();
    assert.ok(decision.kind === 'alone' && decision.forMs > 0 && decision.forMs <= 5000);
    assert.equal(arbiters.questions.length, 1);
    await downloads.find(requestFor(digestOf(1)), signal);
    assert.equal(arbiters.questions.length, 2, 'another digest');
    const now = performance.now.bind(performance);
    t.mock.method(performance, 'now', () => now() + 5001);
    await find();
    assert.equal(arbiters.questions.length, 3);
  });

  it('are not sent away for longer than a minute', async (t) => {
    arbiters.decision = { kind: 'alone', forMs: Number.MAX_SAFE_INTEGER };
    await find();
    const now = performance.now.bind(performance);
    t.mock.method(performance, 'now', () => now() + 60_001);
    await find();
    assert.equal(arbiters.questions.length, 2);
  });

  it('report new followers of the digest, and not those of others', async () => {
    ingests.begin(DIGEST);
    arbiters.decision = { kind: 'fetch', renewMs: 5000 };
    await find();
    followers.change(digestOf(1), 1);
    followers.change(DIGEST, 2);
    await eventually(() => {
      assert.deepEqual(arbiters.states, ['wants', 'fetching']);
    });
    assert.equal(arbiters.last?.children, 2);
  });

  it('report wrong content once', async () => {
    ingests.begin(DIGEST);
    await find();
    downloads.wrong(DIGEST);
    downloads.wrong(digestOf(1));
    await hasEnded();
    assert.equal(arbiters.last?.state, 'wrong');
  });

  it('find the request in hand, and say what its arbiter has answered', async () => {
    using hand = downloads.begin(REQUEST);
    assert.equal(downloads.inHand(DIGEST), REQUEST);
    await find();
    assert.deepEqual(hand.decision, FETCH);
  });

  it('show each download', async () => {
    ingests.begin(DIGEST, BYTES.length).write(BYTES.subarray(0, 10));
    arbiters.decision = follow(PEER);
    followers.children = 1;
    await find();
    assert.deepEqual(downloads.status(), [
      {
        digest: DIGEST,
        registry: 'registry.example',
        repository: 'team/image',
        state: 'following',
        parent: PEER,
        offset: 10,
        size: 1000,
        bytesPerSecond: 0,
        children: 1,
      },
    ]);
  });

  it('report a bounded number of downloads, and still ask for further ones', async () => {
    arbiters.decision = { kind: 'fetch', renewMs: 5000 };
    for (let at = 0; at <= 1000; at++) {
      ingests.begin(digestOf(at));
      const found = await downloads.find(requestFor(digestOf(at)), signal);
      assert.equal(found.decision.kind, 'fetch');
    }
    assert.equal(downloads.status().length, 1000);
  });

  it('do without an arbiter for a tag', async () => {
    const { decision } = await downloads.find(requestFor(), signal);
    assert.deepEqual(decision, { kind: 'alone', forMs: 0 });
    assert.deepEqual(arbiters.questions, []);
  });

  it('reject with the reason of the signal, and keep nothing open', async (t) => {
    ingests.begin(DIGEST);
    let open = 0;
    const opened = ingests.open.bind(ingests);
    t.mock.method(ingests, 'open', async (digest: Digest) => {
      const ingest = await opened(digest);
      assert.ok(ingest);
      open += 1;
      const dispose = ingest[Symbol.asyncDispose].bind(ingest);
      ingest[Symbol.asyncDispose] = async () => {
        open -= 1;
        await dispose();
      };
      return ingest;
    });
    arbiters.hangs = true;
    const abort = new AbortController();
    const found = downloads.find(REQUEST, abort.signal);
    const rejected = assert.rejects(found, { name: 'AbortError' });
    await eventually(() => {
      assert.equal(arbiters.questions.length, 1);
    });
    abort.abort();
    await rejected;
    assert.equal(open, 0);
    arbiters.hangs = false;
    await find();
    await find();
    assert.equal(open, 1, 'the one that is reported');
    await downloads.stop();
    assert.equal(open, 0);
  });

  it('stop all, and ask nothing from then on', async () => {
    for (let at = 0; at < 5; at++) {
      ingests.begin(digestOf(at));
      await downloads.find(requestFor(digestOf(at)), signal);
    }
    assert.equal(followers.listeners, 1);
    await downloads.stop();
    assert.deepEqual(downloads.status(), []);
    assert.equal(followers.listeners, 0);
    const { length } = arbiters.questions;
    assert.deepEqual((await find()).decision, { kind: 'alone', forMs: 0 });
    assert.equal(arbiters.questions.length, length);
  });
});
