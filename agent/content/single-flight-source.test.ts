import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { parseDigest } from '../oci/digest.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import type { Content } from './content-source.ts';
import { SingleFlightSource } from './single-flight-source.ts';

const digest = parseDigest(`sha256:${'a'.repeat(64)}`);
assert.ok(digest !== undefined);
const MANIFEST: ContentRequest = {
  ...{ kind: 'manifest', method: 'GET', digest },
  ...{ registry: 'registry.example', repository: 'team/app' },
};
const CONTENT: Content = {
  descriptor: { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest, size: 2 },
  ...{ origin: 'http://peer', kind: 'whole', bytes: Buffer.from('{}') },
};

/** A source whose fetches end when and how the test decides. */
class Peers {
  readonly fetches: (PromiseWithResolvers<Content | undefined> & {
    readonly signal: AbortSignal;
  })[] = [];

  fetch(_: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    const fetch = { ...Promise.withResolvers<Content | undefined>(), signal };
    this.fetches.push(fetch);
    return fetch.promise;
  }
}

function setUp(): { source: Peers; ask: (change?: Partial<ContentRequest>) => Asked } {
  const source = new Peers();
  const shared = new SingleFlightSource({ source });
  const ask = (change: Partial<ContentRequest> = {}): Asked => {
    const gone = new AbortController();
    return { gone, content: shared.fetch({ ...MANIFEST, ...change }, gone.signal) };
  };
  return { source, ask };
}

interface Asked {
  readonly gone: AbortController;
  readonly content: Promise<Content | undefined>;
}

describe('SingleFlightSource', () => {
  it('fetches a manifest once for all requests at the same time, with or without a range', async () => {
    const { source, ask } = setUp();
    const asked = [ask(), ask({ range: { kind: 'from', start: 1 } }), ask()];
    source.fetches[0]?.resolve(CONTENT);
    for (const { content } of asked) assert.equal(await content, CONTENT);
    assert.equal(source.fetches.length, 1);
    void ask();
    assert.equal(source.fetches.length, 2);
  });

  it('fetches apart for another method or repository', () => {
    const { source, ask } = setUp();
    for (const change of [{}, { method: 'HEAD' }, { repository: 'team/other' }] as const) {
      void ask(change);
    }
    assert.equal(source.fetches.length, 3);
  });

  it('does not share blobs, whose bodies can be read once only', () => {
    const { source, ask } = setUp();
    void ask({ kind: 'blob' });
    void ask({ kind: 'blob' });
    assert.equal(source.fetches.length, 2);
  });

  it('fetches once more for later requests when the first fetch fails, and not again', async () => {
    const { source, ask } = setUp();
    const first = ask();
    const late = [ask(), ask()];
    source.fetches[0]?.resolve(undefined);
    assert.equal(await first.content, undefined);
    // They take their next step a few microtasks later.
    await new Promise(setImmediate);
    assert.equal(source.fetches.length, 2);
    source.fetches[1]?.resolve(undefined);
    for (const { content } of late) assert.equal(await content, undefined);
    assert.equal(source.fetches.length, 2);
  });

  it('goes on when one client leaves, and is aborted when all have left', async () => {
    const { source, ask } = setUp();
    const [one, other] = [ask(), ask()];
    one.gone.abort(new Error('left'));
    await assert.rejects(one.content, /left/);
    assert.equal(source.fetches[0]?.signal.aborted, false);
    other.gone.abort(new Error('left too'));
    await assert.rejects(other.content, /left too/);
    assert.equal(source.fetches[0].signal.aborted, true);
    const next = ask();
    assert.equal(source.fetches.length, 2);
    source.fetches[1]?.resolve(CONTENT);
    assert.equal(await next.content, CONTENT);
  });

  it('refuses to share content that can be read once only', async () => {
    const { source, ask } = setUp();
    const { content } = ask();
    const { descriptor, origin } = CONTENT;
    source.fetches[0]?.resolve({ kind: 'stream', descriptor, origin, body: Readable.from([]) });
    await assert.rejects(content, TypeError);
  });
});
