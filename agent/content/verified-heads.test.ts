import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { contentKey, type ContentRequest } from '../oci/content-request.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import { sha256 } from '../testing/image.ts';
import type { Content } from './content-source.ts';
import { VerifiedHeads } from './verified-heads.ts';

const never = new AbortController().signal;
const tag: ContentRequest = {
  ...{ kind: 'manifest', method: 'HEAD', tag: '1.0' },
  ...{ registry: 'registry.example', repository: 'team/app' },
};

function manifest(bytes: Buffer): Content & { kind: 'whole' } {
  const descriptor = { mediaType: MEDIA_TYPE.ociIndex, digest: sha256(bytes), size: bytes.length };
  return { kind: 'whole', descriptor, origin: 'http://peer', bytes };
}

function byDigest({ descriptor }: Content): ContentRequest {
  const { registry, repository } = tag;
  return { kind: 'manifest', method: 'GET', registry, repository, digest: descriptor.digest };
}

/** A source that gives the contents in turn, and remembers what was asked. */
function sourceOf(...contents: (Content | undefined)[]) {
  const asked: string[] = [];
  const fetch = (request: ContentRequest): Promise<Content | undefined> => {
    asked.push(`${request.method} ${contentKey(request)}`);
    return Promise.resolve(contents[asked.length - 1]);
  };
  return { asked, fetch };
}

describe('VerifiedHeads', () => {
  it('answers a HEAD from a GET, and the GET by digest behind it from the same bytes', async () => {
    const content = manifest(Buffer.from('{}'));
    const source = sourceOf(content);
    const heads = new VerifiedHeads({ source });
    const { descriptor, origin } = content;
    assert.deepEqual(await heads.fetch(tag, never), { kind: 'head', descriptor, origin });
    assert.equal(await heads.fetch(byDigest(content), never), content);
    assert.deepEqual(source.asked, ['GET registry.example/team/app:1.0']);
  });

  it('asks again for each HEAD, and for each GET but the first, because the manifest may be gone', async () => {
    const content = manifest(Buffer.from('{}'));
    const source = sourceOf(content, undefined, content, undefined);
    const heads = new VerifiedHeads({ source });
    const head = { ...byDigest(content), method: 'HEAD' } as const;
    assert.equal((await heads.fetch(head, never))?.kind, 'head');
    assert.equal(await heads.fetch(head, never), undefined);
    assert.equal((await heads.fetch(head, never))?.kind, 'head');
    assert.equal(await heads.fetch(byDigest(content), never), content);
    assert.equal(await heads.fetch(byDigest(content), never), undefined);
  });

  it('asks again for a tag, which may have moved', async () => {
    const contents = [manifest(Buffer.from('{}')), manifest(Buffer.from('{"new":1}'))];
    const heads = new VerifiedHeads({ source: sourceOf(...contents) });
    for (const { descriptor } of contents) {
      assert.deepEqual((await heads.fetch(tag, never))?.descriptor, descriptor);
    }
  });

  it('keeps nothing of a GET, and nothing longer than five seconds', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    let now = 1_000;
    t.mock.method(performance, 'now', () => now);
    const content = manifest(Buffer.from('{}'));
    const source = sourceOf(content, content, content);
    const heads = new VerifiedHeads({ source });
    await heads.fetch(byDigest(content), never);
    await heads.fetch(tag, never);
    now += 5_001;
    t.mock.timers.tick(5_001);
    await heads.fetch(byDigest(content), never);
    assert.equal(source.asked.length, 3);
    heads.stop();
  });

  it('keeps at most 16 MiB', async () => {
    const contents = Array.from({ length: 5 }, () => manifest(randomBytes(4 * 1024 * 1024 - 1)));
    const source = sourceOf(...contents);
    const heads = new VerifiedHeads({ source });
    for (const { origin } of contents) {
      assert.equal((await heads.fetch(tag, never))?.origin, origin);
    }
    const [first, ...others] = contents as [Content, ...Content[]];
    for (const content of others)
      assert.equal(await heads.fetch(byDigest(content), never), content);
    assert.equal(await heads.fetch(byDigest(first), never), undefined);
    heads.stop();
  });

  it('leaves blobs, and what the source does not have, to the source', async () => {
    const source = sourceOf();
    const heads = new VerifiedHeads({ source });
    const { digest } = manifest(Buffer.from('{}')).descriptor;
    assert.equal(await heads.fetch({ ...tag, kind: 'blob', digest }, never), undefined);
    assert.equal(await heads.fetch(tag, never), undefined);
    assert.deepEqual(source.asked, [`HEAD ${digest}`, 'GET registry.example/team/app:1.0']);
  });
});
