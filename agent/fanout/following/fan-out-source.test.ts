import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';

import type { Content, ContentSource } from '../../content/content-source.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { MemoryNetwork, MemoryRouter } from '../../routing/memory-router.ts';
import { MemoryIngests } from '../../store/memory-ingests.ts';
import { MemoryStore } from '../../store/memory-store.ts';
import { eventually } from '../../testing/eventually.ts';
import { sha256 } from '../../testing/image.ts';
import { quiet } from '../../testing/quiet.ts';
import { ScriptedArbiters, ScriptedFollowers } from '../../testing/scripted-arbiters.ts';
import { pause } from '../../timing/pause.ts';
import { Downloads } from '../downloads/downloads.ts';
import { ParentFinder } from '../downloads/parent-finder.ts';
import { DOWNLOADS_PROTOCOL, type Decision } from '../question.ts';
import { NamedMembers } from '../wire/named-members.ts';
import { KnownHolders } from './known-holders.ts';
import { FanOutSource, type WaitOutcome } from './fan-out-source.ts';

const DIGEST = sha256(Buffer.from('fresh'));
const PARENT = 'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N';
const FOLLOW: Decision = {
  kind: 'follow',
  renewMs: 1_000,
  parent: { peerId: PARENT, origins: ['http://10.0.0.7:5000'] },
};
const HELD: Decision = { kind: 'held', holders: [FOLLOW.parent] };
const FETCH: Decision = { kind: 'fetch', renewMs: 1_000 };
const VERIFIED_SIZE = 1_000;
const { signal } = new AbortController();

function request(change: Partial<ContentRequest> = {}): ContentRequest {
  const name = { registry: 'registry.example', repository: 'a', digest: DIGEST };
  return { kind: 'blob', method: 'GET', ...name, ...change };
}

/** Asks for peers as a transfer does, and gives what the test says; nothing without a peer. */
class Following implements ContentSource {
  readonly #finder: ParentFinder;
  gives: Content | undefined;
  /** Whether a peer that was found never answers. */
  hangs = false;
  /** How long a peer takes until it has failed, in milliseconds. */
  takesMs = 0;
  /** The peers that each look-up gave, one entry for each. */
  readonly found: string[][] = [];

  constructor(finder: ParentFinder) {
    this.#finder = finder;
  }

  async fetch(
    { digest = DIGEST }: ContentRequest,
    abort: AbortSignal,
  ): Promise<Content | undefined> {
    const peers: string[] = [];
    for await (const { peerId } of this.#finder.lookup(digest, abort)) peers.push(peerId);
    this.found.push(peers);
    if (this.hangs) {
      await once(abort, 'abort');
      throw abort.reason;
    }
    await pause(this.takesMs, abort);
    if (this.gives === undefined) for (const peerId of peers) this.#finder.failed(digest, peerId);
    return peers.length > 0 ? this.gives : undefined;
  }
}

function contentOf(kind: 'head' | 'stream', onEnd?: () => void): Content {
  const descriptor = { mediaType: MEDIA_TYPE.binary, digest: DIGEST, size: 3 };
  const base = { descriptor, origin: 'http://10.0.0.7:5000' };
  if (kind === 'head') return { kind, ...base };
  const body = (async function* () {
    await Promise.resolve();
    yield Buffer.from('abc');
  })();
  const held = {
    [Symbol.asyncDispose]: () => {
      onEnd?.();
      return Promise.resolve();
    },
  };
  return { kind, ...base, body, held };
}

function make(t: TestContext) {
  const network = new MemoryNetwork();
  network.join({
    peerId: PARENT,
    origins: ['http://10.0.0.7:5000'],
    protocols: [DOWNLOADS_PROTOCOL],
  });
  const router = new MemoryRouter({ network }, { peerId: 'me', origins: [] });
  const ingests = new MemoryIngests();
  const store = new MemoryStore(ingests);
  const arbiters = new ScriptedArbiters();
  const downloads = new Downloads({
    store,
    arbiters,
    named: new NamedMembers({ router }),
    followers: new ScriptedFollowers(),
    logger: quiet,
  });
  t.after(() => downloads.stop());
  const finder = new ParentFinder(downloads);
  const following = { large: new Following(finder), small: new Following(finder) };
  const waited: WaitOutcome[] = [];
  const source = new FanOutSource(
    {
      ...{ downloads, store, following, holders: new KnownHolders({ router }) },
      onWaited: (outcome) => waited.push(outcome),
    },
    { verifiedSize: VERIFIED_SIZE },
  );
  /** So many other nodes hold the content from now on. */
  const hold = async (count: number): Promise<void> => {
    for (let at = 0; at < count; at++) {
      const holder = new MemoryRouter({ network }, { peerId: `holder ${at}`, origins: [] });
      await holder.advertise([DIGEST]);
    }
  };
  return { source, downloads, ingests, arbiters, following, waited, hold };
}

describe('FanOutSource', () => {
  it('gives nothing to the node that is to go upstream, which does not count as a wait', async (t) => {
    const { source, arbiters, waited, downloads } = make(t);
    arbiters.decision = FETCH;
    assert.equal(await source.fetch(request(), signal), undefined);
    assert.deepEqual(waited, []);
    assert.equal(arbiters.questions.length, 1);
    assert.equal(downloads.inHand(DIGEST), undefined);
  });

  for (const [size, kind, way] of [
    [1_001, 'blob', 'large'],
    [1_000, 'blob', 'small'],
    [undefined, 'blob', 'small'],
    [1_001, 'manifest', 'small'],
  ] as const) {
    it(`follows ${way === 'large' ? 'at once' : 'what is verified first'} for a ${kind} of ${String(size)} bytes`, async (t) => {
      const { source, ingests, arbiters, following, waited } = make(t);
      arbiters.decision = FOLLOW;
      if (size !== undefined) ingests.begin(DIGEST, size);
      following[way].gives = contentOf('head');
      assert.equal(await source.fetch(request({ kind }), signal), following[way].gives);
      assert.deepEqual(following[way].found, [[PARENT]]);
      assert.deepEqual(following[way === 'large' ? 'small' : 'large'].found, []);
      assert.deepEqual(waited, ['served']);
    });
  }

  it('asks neither for tags nor for a HEAD', async (t) => {
    const { source, arbiters } = make(t);
    const { digest, ...byTag } = request({ tag: '1', kind: 'manifest' });
    assert.equal(digest, DIGEST);
    assert.equal(await source.fetch(byTag, signal), undefined);
    assert.equal(await source.fetch(request({ method: 'HEAD' }), signal), undefined);
    assert.deepEqual(arbiters.questions, []);
  });

  it('asks again four times in all when parents do not serve, names them, and goes upstream', async (t) => {
    const { source, arbiters, following, waited } = make(t);
    arbiters.decision = HELD;
    assert.equal(await source.fetch(request(), signal), undefined);
    assert.equal(following.small.found.length, 4);
    assert.deepEqual(arbiters.questions[0]?.failed, []);
    assert.deepEqual(arbiters.last?.failed, [PARENT]);
    assert.deepEqual(waited, ['upstream']);
  });

  it('stops asking when the arbiter sends it upstream after a parent has failed', async (t) => {
    const { source, arbiters, following, waited } = make(t);
    arbiters.decision = FOLLOW;
    const fetched = source.fetch(request(), signal);
    following.small.found.push = (...peers) => {
      arbiters.decision = FETCH;
      return Array.prototype.push.apply(following.small.found, peers);
    };
    assert.equal(await fetched, undefined);
    assert.equal(following.small.found.length, 2);
    assert.deepEqual(waited, ['upstream']);
  });

  it('has the request in hand until its body has ended, so that it can ask whom to follow next', async (t) => {
    const { source, downloads, arbiters, following } = make(t);
    let ended = 0;
    arbiters.decision = FOLLOW;
    following.small.gives = contentOf('stream', () => (ended += 1));
    const content = await source.fetch(request(), signal);
    assert.equal(content?.kind, 'stream');
    assert.equal(downloads.inHand(DIGEST)?.digest, DIGEST);
    await content.held?.[Symbol.asyncDispose]();
    assert.equal(downloads.inHand(DIGEST), undefined);
    assert.equal(ended, 1);
  });

  it('gives nothing when the client needs the place of a request that waits', async (t) => {
    const { source, downloads, ingests, arbiters, following, waited } = make(t);
    ingests.begin(DIGEST, 1_000);
    arbiters.decision = FETCH;
    assert.equal(await source.fetch(request(), signal), undefined);
    arbiters.decision = FOLLOW;
    following.small.hangs = true;
    // All three places of a containerd.
    const others = ['b', 'c', 'd'].map((name) => sha256(Buffer.from(name)));
    const leaving = new AbortController();
    const fetched = others.map((digest) => source.fetch(request({ digest }), leaving.signal));
    assert.equal(await fetched.pop(), undefined);
    assert.deepEqual(following.small.found, [[], [PARENT], [PARENT], [PARENT]]);
    assert.deepEqual(waited, ['upstream']);
    const inHand = others.map((digest) => downloads.inHand(digest) !== undefined);
    assert.deepEqual(inHand, [true, true, false], 'one place is enough');
    const rejected = fetched.map((each) => assert.rejects(each, /the client left/));
    leaving.abort(new Error('the client left'));
    await Promise.all(rejected);
  });

  it('does not keep a request in hand that fails', async (t) => {
    const { source, downloads, arbiters } = make(t);
    arbiters.hangs = true;
    const leaving = new AbortController();
    const fetched = source.fetch(request(), leaving.signal);
    await eventually(() => {
      assert.equal(arbiters.questions.length, 1);
    });
    leaving.abort(new Error('the client left'));
    await assert.rejects(fetched, /the client left/);
    assert.equal(downloads.inHand(DIGEST), undefined);
  });
});

describe('FanOutSource, for a blob of an image that nodes have begun with', () => {
  /** A node that has followed another one in the manifest, and whose client wants a layer. */
  function begin(t: TestContext, size = 1_001) {
    const made = make(t);
    made.downloads.isLed(request({ kind: 'manifest' }));
    made.ingests.begin(DIGEST, size);
    return made;
  }

  it('is followed without an offer to fetch it, and goes on from wherever it can', async (t) => {
    const { source, arbiters, following, downloads } = begin(t);
    arbiters.decision = FOLLOW;
    following.large.gives = contentOf('stream');
    const content = await source.fetchBegun(request(), signal);
    assert.equal(content?.kind, 'stream');
    assert.deepEqual(following.large.found, [[PARENT]]);
    assert.deepEqual(
      arbiters.questions.map(({ canFetch }) => canFetch),
      [false],
    );
    downloads.failed(DIGEST, PARENT);
    await downloads.find(request(), signal);
    assert.equal(arbiters.questions.at(-1)?.canFetch, true, 'the body has broken off');
    await content.held?.[Symbol.asyncDispose]();
  });

  it('is left to its holders, without a report or a rest, where the arbiter knows of none that receives it', async (t) => {
    const { source, arbiters, downloads, waited } = begin(t);
    for (const decision of [{ kind: 'alone', forMs: 5_000 } as const, FETCH]) {
      arbiters.decision = decision;
      assert.equal(await source.fetchBegun(request(), signal), undefined);
    }
    assert.deepEqual(downloads.status(), []);
    assert.deepEqual(waited, []);
    arbiters.decision = FETCH;
    const { decision } = await downloads.find({ ...request(), repository: 'b' }, signal);
    assert.equal(decision.kind, 'fetch');
  });

  it('is left to its holders after one silent peer, and after several that refuse, which is no wait for the registry', async (t) => {
    const { source, arbiters, following, waited } = begin(t);
    arbiters.decision = FOLLOW;
    assert.equal(await source.fetchBegun(request(), signal), undefined);
    assert.ok(following.large.found.length > 1, 'a refusal costs no time');
    const before = following.large.found.length;
    following.large.takesMs = 600;
    assert.equal(await source.fetchBegun(request(), signal), undefined);
    assert.equal(following.large.found.length, before + 1);
    assert.deepEqual(waited, []);
  });

  it('is taken from its only holder by the node that the arbiter chooses, and reported so that others can follow', async (t) => {
    const { source, arbiters, downloads, following, waited, hold } = begin(t);
    await hold(1);
    arbiters.first.push({ kind: 'alone', forMs: 5_000 });
    arbiters.decision = FETCH;
    assert.equal(await source.fetchBegun(request(), signal), undefined, 'its holders are next');
    const wants = arbiters.questions.filter(({ state }) => state === 'wants');
    assert.deepEqual(
      wants.map(({ canFetch }) => canFetch),
      [false, true],
    );
    assert.equal(downloads.status()[0]?.state, 'taking');
    assert.ok(downloads.isTaking(DIGEST));
    await eventually(() => {
      assert.equal(arbiters.last?.state, 'fetching');
    });
    assert.deepEqual(following.large.found, [[], []]);
    assert.deepEqual(waited, []);
  });

  it('is received from the node that takes it from the holder, if another one does', async (t) => {
    const { source, arbiters, following, downloads, hold } = begin(t);
    await hold(2);
    arbiters.first.push({ kind: 'alone', forMs: 5_000 });
    arbiters.decision = FOLLOW;
    following.large.gives = contentOf('stream');
    const content = await source.fetchBegun(request(), signal);
    assert.equal(content?.kind, 'stream');
    assert.equal(downloads.status()[0]?.state, 'following');
    await content.held?.[Symbol.asyncDispose]();
  });

  it('is asked for at its holders at once where they are many, or no arbiter has answered', async (t) => {
    const { source, arbiters, downloads, hold } = begin(t);
    await hold(1);
    arbiters.decision = { kind: 'alone', forMs: 0 };
    assert.equal(await source.fetchBegun(request(), signal), undefined);
    await hold(3);
    arbiters.decision = { kind: 'alone', forMs: 5_000 };
    assert.equal(await source.fetchBegun(request(), signal), undefined);
    assert.ok(arbiters.questions.every(({ canFetch }) => !canFetch));
    assert.deepEqual(downloads.status(), []);
  });

  it('is asked for at its holders at once where it is small, a later part, or of another image', async (t) => {
    const { source, arbiters } = begin(t);
    const later = { range: { kind: 'from', start: 1 } } as const;
    for (const change of [later, { repository: 'b' }, { kind: 'manifest' }] as const)
      assert.equal(await source.fetchBegun(request(change), signal), undefined);
    const small = begin(t, 1_000);
    assert.equal(await small.source.fetchBegun(request(), signal), undefined);
    assert.deepEqual([...arbiters.questions, ...small.arbiters.questions], []);
  });
});
