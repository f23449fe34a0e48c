import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import type { Content, ContentSource } from '../content/content-source.ts';
import { createMetrics } from '../metrics/metrics.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import { OciError } from '../oci/errors.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import { sha256 } from '../testing/image.ts';
import { listen } from '../testing/listen.ts';
import { quiet } from '../testing/quiet.ts';
import type { MirrorSources, RegistryContent } from './mirror-sources.ts';
import { PeerUploads } from './peer-uploads.ts';
import { SourceAnswers } from './source-answers.ts';

const BYTES = Buffer.from('content');
const DIGEST = sha256(BYTES);
const REQUEST: ContentRequest = {
  ...{ kind: 'blob', method: 'GET', registry: 'registry.example', repository: 'team/app' },
  digest: DIGEST,
};

const gives = (content: Partial<Content> = {}): ContentSource => ({
  fetch: () =>
    Promise.resolve({
      ...{ kind: 'whole', origin: 'http://source', bytes: BYTES },
      descriptor: { mediaType: MEDIA_TYPE.binary, digest: DIGEST, size: BYTES.length },
      ...content,
    } as Content),
});
const refuses = (code: 'BLOB_UNKNOWN' | 'UNAVAILABLE'): ContentSource => ({
  fetch: () => Promise.reject(new OciError(code, 'the words of the source')),
});

/** Asks the sources beyond this node, then the registry if that may be asked. */
async function ask(
  t: TestContext,
  remote: ContentSource,
  upstream: RegistryContent,
  mayGoUpstream = true,
): Promise<{ status: number; body: string }> {
  const metrics = createMetrics();
  const sources: MirrorSources = { local: [], remote: [remote], upstream };
  const answers = new SourceAnswers({
    ...{ sources, sharesDigest: () => true, metrics, logger: quiet },
    uploads: new PeerUploads({ metrics }),
  });
  const origin = await listen(t, async (_req, res, signal) => {
    const exchange = { request: REQUEST, fromPeer: false, res, signal };
    await answers.tryRemote(exchange, mayGoUpstream).catch((error: unknown) => {
      answers.fail(error, exchange);
    });
  });
  const response = await fetch(origin);
  return { status: response.status, body: await response.text() };
}

describe('SourceAnswers', () => {
  it('ask the registry where a source leaves content to it, if the client is one of this node', async (t) => {
    const left = refuses('BLOB_UNKNOWN');
    assert.deepEqual(await ask(t, left, gives()), { status: 200, body: 'content' });
    const { status, body } = await ask(t, left, gives(), false);
    assert.equal(status, 404);
    assert.match(body, /the words of the source/);
  });

  it('do not ask it where a source has failed otherwise', async (t) => {
    const { status, body } = await ask(t, refuses('UNAVAILABLE'), gives());
    assert.equal(status, 503);
    assert.match(body, /the words of the source/);
  });

  it('close content that the registry was to finish, whatever becomes of that', async (t) => {
    let closed = 0;
    const held: Content['held'] = {
      [Symbol.asyncDispose]: () => {
        closed += 1;
        return Promise.resolve();
      },
    };
    const finish = (): Promise<Content> => Promise.reject(new Error('the store is gone'));
    const answer = await ask(t, gives({ held }), { ...gives(), finish });
    assert.equal(answer.status, 500);
    assert.equal(closed, 1);
  });
});
