import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, it, type TestContext } from 'node:test';

import {
  SourceUnavailableError,
  type Content,
  type ContentSource,
} from '../../content/content-source.ts';
import { createMetrics, type Metrics } from '../../metrics/metrics.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import { OciError } from '../../oci/errors.ts';
import { SharePolicy } from '../../oci/share-policy.ts';
import { sha256 } from '../../testing/image.ts';
import { listen } from '../../testing/listen.ts';
import { quiet } from '../../testing/quiet.ts';
import { MirrorHandler } from '../mirror-handler.ts';

const digest = sha256(Buffer.from('x'));
const PEER = { 'x-spegel-mirrored': 'true' };

/** The content of each source, which is its own name; or the error that it throws, or nothing. */
type Sources = Readonly<Record<string, Content | Error | undefined>>;

function whole(text: string): Content {
  const descriptor = { mediaType: MEDIA_TYPE.binary, digest, size: text.length };
  return { kind: 'whole', descriptor, origin: text, bytes: Buffer.from(text) };
}

/** A mirror that goes through these sources, and records which of them it asks. */
async function start(
  t: TestContext,
  local: Sources,
  remote: Sources,
  upstream: Sources = {},
  mayGoUpstream = true,
): Promise<{
  readonly ask: (headers?: Record<string, string>) => Promise<{ status: number; body: string }>;
  readonly asked: string[];
  readonly metrics: Metrics;
}> {
  const asked: string[] = [];
  const listOf = (sources: Sources): ContentSource[] =>
    Object.entries(sources).map(([name, content]) => ({
      fetch() {
        asked.push(name);
        return content instanceof Error ? Promise.reject(content) : Promise.resolve(content);
      },
    }));
  const metrics = createMetrics();
  const [last] = listOf(upstream);
  const mirror = new MirrorHandler({
    sources: { local: listOf(local), remote: listOf(remote), ...(last && { upstream: last }) },
    policy: new SharePolicy(),
    mayGoUpstream: (address) => mayGoUpstream && address === '127.0.0.1',
    metrics,
    logger: quiet,
  });
  const origin = await listen(t, async (req, res, signal) => {
    await mirror.handle(req, res, signal);
  });
  return {
    asked,
    metrics,
    async ask(headers = {}) {
      const response = await fetch(`${origin}/v2/team/app/blobs/${digest}`, { headers });
      return { status: response.status, body: await response.text() };
    },
  };
}

describe('MirrorHandler with several sources', () => {
  it('asks local sources before remote ones, each list in its order, until one has the content', async (t) => {
    const local = { store: undefined, 'download in progress': undefined };
    const remote = { peers: undefined, upstream: whole('upstream'), last: whole('last') };
    const { ask, asked } = await start(t, local, remote);
    assert.deepEqual(await ask(), { status: 200, body: 'upstream' });
    assert.deepEqual(asked, ['store', 'download in progress', 'peers', 'upstream']);
  });

  it('answers a peer from local sources only', async (t) => {
    const local = { store: undefined, 'download in progress': undefined };
    const { ask, asked } = await start(t, local, { peers: whole('peers') });
    assert.equal((await ask(PEER)).status, 404);
    assert.deepEqual(asked, ['store', 'download in progress']);
  });

  it('answers a peer with 503 when a local source is unavailable and no other has the content', async (t) => {
    const store = new SourceUnavailableError('down');
    const { ask } = await start(t, { store, other: undefined }, {});
    assert.equal((await ask(PEER)).status, 503);
    const { ask: askBoth } = await start(t, { store, other: whole('other') }, {});
    assert.deepEqual(await askBoth(PEER), { status: 200, body: 'other' });
  });

  it('goes on to the next source when one is unavailable, or its content cannot be read', async (t) => {
    let disposed = 0;
    const { descriptor } = whole('x');
    const unreadable: Content = {
      ...{ kind: 'stream', descriptor, origin: 'local', body: Readable.from([]) },
      ready: () => Promise.reject(new Error('disk')),
      held: {
        [Symbol.asyncDispose]() {
          disposed += 1;
          return Promise.resolve();
        },
      },
    };
    const local = { down: new SourceUnavailableError('down'), unreadable };
    const { ask } = await start(t, local, { peers: whole('peers') });
    assert.deepEqual(await ask(), { status: 200, body: 'peers' });
    assert.equal(disposed, 1);
  });

  it('asks the registry last, and counts that no peer had the content', async (t) => {
    const { ask, asked, metrics } = await start(
      t,
      { store: undefined },
      { peers: undefined },
      { registry: whole('registry') },
    );
    assert.deepEqual(await ask(), { status: 200, body: 'registry' });
    assert.deepEqual(asked, ['store', 'peers', 'registry']);
    const { values } = await metrics.mirrorRequests.get();
    assert.deepEqual(
      values.map(({ labels, value }) => [labels.cache, value]),
      [['miss', 1]],
    );
  });

  it('asks the registry where a source knows that this node is to fetch it', async (t) => {
    const lease = new OciError('BLOB_UNKNOWN', 'this node fetches it');
    const registry = whole('registry');
    const { ask, asked } = await start(t, {}, { lease, peers: whole('peers') }, { registry });
    assert.deepEqual(await ask(), { status: 200, body: 'registry' });
    assert.deepEqual(asked, ['lease', 'registry']);
    const { ask: askWithout } = await start(t, {}, { lease });
    const { status, body } = await askWithout();
    assert.equal(status, 404);
    assert.match(body, /this node fetches it/);
  });

  it('does not ask the registry for a peer, for another client than its own, or instead of another error', async (t) => {
    const registry = whole('registry');
    const { ask, asked } = await start(t, {}, { peers: undefined }, { registry });
    assert.equal((await ask(PEER)).status, 404);
    const others = await start(t, {}, { peers: undefined }, { registry }, false);
    assert.equal((await others.ask()).status, 404);
    const range = new OciError('RANGE_INVALID', 'no such byte');
    const refused = await start(t, {}, { range }, { registry });
    assert.equal((await refused.ask()).status, 416);
    assert.deepEqual([asked, others.asked, refused.asked], [[], ['peers'], ['range']]);
  });

  it('answers with the reason of the registry', async (t) => {
    const registry = new OciError('TOOMANYREQUESTS', 'docker.io: You have reached your limit');
    const { ask } = await start(t, {}, { peers: undefined }, { registry });
    const { status, body } = await ask();
    assert.equal(status, 503);
    assert.match(body, /TOOMANYREQUESTS.*You have reached your limit/);
  });

  it('answers 500 when a source fails without a reason that it knows', async (t) => {
    const { ask } = await start(t, { store: new Error('a bug') }, { peers: whole('peers') });
    assert.equal((await ask()).status, 500);
  });
});
