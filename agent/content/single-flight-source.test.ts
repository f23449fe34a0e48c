import assert from 'node:assert/strict';
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

/** A transfer whose fetches end when and how the test says. */
class Transfer {
  readonly fetches: (PromiseWithResolvers<Content | undefined> & {
    readonly signal: AbortSignal;
  })[] = [];

  fetch(_: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    const fetch = { ...Promise.withResolvers<Content | undefined>(), signal };
    this.fetches.push(fetch);
    return fetch.promise;
  }
}

function setUp(): { transfer: Transfer; ask: (change?: Partial<ContentRequest>) => Asked } {
  const transfer = new Transfer();
  const shared = new SingleFlightSource({ source: transfer });
  const ask = (change: Partial<ContentRequest> = {}): Asked => {
    const gone = new AbortController();
    return { gone, content: shared.fetch({ ...MANIFEST, ...change }, gone.signal) };
  };
  return { transfer, ask };
}

interface Asked {
  readonly gone: AbortController;
  readonly content: Promise<Content | undefined>;
}

describe('SharedManifests', () => {
  it('fetches once for all who ask at the same time, ranges or not', async () => {
    const { transfer, ask } = setUp();
    const asked = [ask(), ask({ range: { kind: 'from', start: 1 } }), ask()];
    transfer.fetches[0]?.resolve(CONTENT);
    for (const { content } of asked) assert.equal(await content, CONTENT);
    assert.equal(transfer.fetches.length, 1);
    void ask();
    assert.equal(transfer.fetches.length, 2);
  });

  it('keeps apart what is not the same', () => {
    const { transfer, ask } = setUp();
    for (const change of [{}, { method: 'HEAD' }, { repository: 'team/other' }] as const) {
      void ask(change);
    }
    assert.equal(transfer.fetches.length, 3);
  });

  it('does not share blobs, whose bodies can be read once', () => {
    const { transfer, ask } = setUp();
    void ask({ kind: 'blob' });
    void ask({ kind: 'blob' });
    assert.equal(transfer.fetches.length, 2);
  });

  it('fetches once more for those who came late when it fails, and not again', async () => {
    const { transfer, ask } = setUp();
    const first = ask();
    const late = [ask(), ask()];
    transfer.fetches[0]?.resolve(undefined);
    assert.equal(await first.content, undefined);
    // They take their next step a few microtasks later.
    await new Promise(setImmediate);
    assert.equal(transfer.fetches.length, 2);
    transfer.fetches[1]?.resolve(undefined);
    for (const { content } of late) assert.equal(await content, undefined);
    assert.equal(transfer.fetches.length, 2);
  });

  it('goes on when one leaves, ends when all have, and begins anew then', async () => {
    const { transfer, ask } = setUp();
    const [one, other] = [ask(), ask()];
    one.gone.abort(new Error('left'));
    await assert.rejects(one.content, /left/);
    assert.equal(transfer.fetches[0]?.signal.aborted, false);
    other.gone.abort(new Error('left too'));
    await assert.rejects(other.content, /left too/);
    assert.equal(transfer.fetches[0].signal.aborted, true);
    const next = ask();
    assert.equal(transfer.fetches.length, 2);
    transfer.fetches[1]?.resolve(CONTENT);
    assert.equal(await next.content, CONTENT);
  });
});
