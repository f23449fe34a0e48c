import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { describe, it } from 'node:test';

import { pino } from 'pino';

import type { ContentRequest } from '../oci/content-request.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import { MemoryStore } from '../store/memory-store.ts';
import { makeImage, putImage, sha256 } from '../testing/image.ts';
import { quiet } from '../testing/quiet.ts';
import { SourceUnavailableError, type Content } from './content-source.ts';
import { LocalSource } from './local-source.ts';

const image = makeImage(1000);
const [layer = image.config] = image.layers;
const NAME = 'registry.example/team/app:1.0';
const signal = new AbortController().signal;

type Asked = Partial<ContentRequest> & Pick<ContentRequest, 'kind'>;

function setUp(logger = quiet): {
  readonly store: MemoryStore;
  readonly fetch: (asked: Asked) => Promise<Content | undefined>;
} {
  const store = new MemoryStore();
  putImage(store, image, NAME);
  const source = new LocalSource({ store, logger });
  const named = { registry: 'registry.example', repository: 'team/app', method: 'GET' } as const;
  return { store, fetch: (asked) => source.fetch({ ...named, ...asked }, signal) };
}

describe('LocalSource', () => {
  it('gives a manifest whole, by tag and by digest, and only its descriptor for a HEAD', async () => {
    const { fetch } = setUp();
    for (const asked of [{ tag: '1.0' }, { digest: image.manifest.digest }]) {
      const content = await fetch({ kind: 'manifest', ...asked });
      assert.ok(content?.kind === 'whole');
      assert.deepEqual(content.descriptor, image.manifest);
      assert.equal(content.origin, 'local');
      assert.deepEqual(content.bytes, image.blobs.get(image.manifest.digest));
      const head = await fetch({ kind: 'manifest', method: 'HEAD', ...asked });
      assert.deepEqual([head?.kind, head?.descriptor], ['head', image.manifest]);
    }
  });

  it('finds a tag whose record has its registry in another form', async () => {
    const store = new MemoryStore();
    putImage(store, image, 'Registry.EXAMPLE/team/app:1.0');
    const recordNames = (tagKey: string): string[] =>
      tagKey === NAME ? ['REGISTRY.example/team/app:1.0', 'Registry.EXAMPLE/team/app:1.0'] : [];
    const source = new LocalSource({ store, recordNames, logger: quiet });
    const request = { kind: 'manifest', method: 'HEAD', registry: 'registry.example' } as const;
    const found = await source.fetch({ ...request, repository: 'team/app', tag: '1.0' }, signal);
    assert.deepEqual(found?.descriptor, image.manifest);
    const none = await source.fetch({ ...request, repository: 'team/app', tag: '2.0' }, signal);
    assert.equal(none, undefined);
  });

  it('answers the type of the image record where a manifest does not state its own', async () => {
    const { store, fetch } = setUp();
    const child = { ...image.manifest, mediaType: MEDIA_TYPE.dockerManifest };
    const bytes = Buffer.from(JSON.stringify({ manifests: [child] }));
    const digest = store.putBlob(bytes);
    for (const [tag, recorded, answered] of [
      ['docker', MEDIA_TYPE.dockerList, MEDIA_TYPE.dockerList],
      ['oci', MEDIA_TYPE.ociIndex, MEDIA_TYPE.ociIndex],
      ['wrong', MEDIA_TYPE.ociManifest, MEDIA_TYPE.ociIndex],
      ['none', MEDIA_TYPE.binary, MEDIA_TYPE.ociIndex],
    ] as const) {
      const name = `registry.example/team/app:${tag}`;
      store.setImage(name, { mediaType: recorded, digest, size: bytes.length });
      for (const method of ['GET', 'HEAD'] as const) {
        const content = await fetch({ kind: 'manifest', method, tag });
        assert.equal(content?.descriptor.mediaType, answered, `${method} ${tag}`);
      }
    }
    const byDigest = await fetch({ kind: 'manifest', digest });
    assert.equal(byDigest?.descriptor.mediaType, MEDIA_TYPE.ociIndex);
  });

  it('gives the range of a blob as a stream, and keeps the blob open until it is disposed of', async () => {
    const { fetch } = setUp();
    const content = await fetch({
      ...{ kind: 'blob', digest: layer },
      range: { kind: 'between', start: 5, end: 9 },
    });
    assert.ok(content?.kind === 'stream');
    assert.equal(content.descriptor.size, 1000);
    const body = await buffer(content.body);
    assert.deepEqual(body, image.blobs.get(layer)?.subarray(5, 10));
    assert.ok(content.held !== undefined);
    await content.held[Symbol.asyncDispose]();
  });

  it('gives an empty blob whole', async () => {
    const { store, fetch } = setUp();
    const content = await fetch({ kind: 'blob', digest: store.putBlob(Buffer.alloc(0)) });
    assert.ok(content?.kind === 'whole' && content.bytes.length === 0);
  });

  it('has nothing for what is not here, and for a layer that is asked for as a manifest', async () => {
    const { fetch } = setUp();
    assert.equal(await fetch({ kind: 'blob', digest: sha256(Buffer.from('other')) }), undefined);
    assert.equal(await fetch({ kind: 'manifest', tag: '2.0' }), undefined);
    assert.equal(await fetch({ kind: 'manifest', digest: layer }), undefined);
  });

  it('is unavailable while the store is', async () => {
    const { store, fetch } = setUp();
    store.available = false;
    for (const asked of [
      { kind: 'manifest', tag: '1.0' } as const,
      { kind: 'blob', digest: layer } as const,
    ]) {
      await assert.rejects(fetch(asked), (error) => {
        assert.ok(error instanceof SourceUnavailableError);
        assert.match(String(error.cause), /StoreUnavailableError/);
        return true;
      });
    }
  });

  it('logs content that cannot be read, and has nothing then', async () => {
    const lines: string[] = [];
    const { store, fetch } = setUp(pino({}, { write: (line) => lines.push(line) }));
    const open = store.open.bind(store);
    store.open = async (digest) => {
      const blob = await open(digest);
      assert.ok(blob !== undefined);
      blob.stream = () =>
        new Readable({
          read() {
            this.destroy(new Error('disk'));
          },
        });
      return blob;
    };
    assert.equal(await fetch({ kind: 'manifest', digest: image.manifest.digest }), undefined);
    assert.match(lines.join(''), /local content cannot be read/);
  });
});
