import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Content, ContentSource } from '../../content/content-source.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import { digestOf } from '../../testing/arbiter-fixture.ts';
import { HoldersSource } from './holders-source.ts';

const { signal } = new AbortController();
const digest = digestOf(1);
const content: Content = {
  kind: 'head',
  descriptor: { digest, size: 1, mediaType: 'application/octet-stream' },
  origin: 'http://10.0.0.7:5000',
};

function request(kind: ContentRequest['kind']): ContentRequest {
  return { kind, method: 'GET', registry: 'registry.example', repository: 'team/app', digest };
}

/**
 * @param found what holders give
 * @param begun what those give that receive it
 * @param taken what holders give of content that this node takes for others. Default: it takes none
 */
function start(found: Content | undefined, begun?: Content, taken?: Content) {
  const led: ContentRequest[] = [];
  const holders: ContentSource = {
    fetch: () => Promise.resolve(found),
    reasonFor: () => 'no-provider',
  };
  const source = new HoldersSource({
    holders,
    taken: { fetch: () => Promise.resolve(taken) },
    downloads: { isLed: (it) => led.push(it), isTaking: () => taken !== undefined },
    fanOut: { fetchBegun: () => Promise.resolve(begun) },
  });
  return { source, led };
}

describe('HoldersSource', () => {
  it('gives what the holders give, and says that another node leads the image of a manifest', async () => {
    const { source, led } = start(content);
    assert.equal(await source.fetch(request('blob'), signal), content);
    assert.deepEqual(led, []);
    const manifest = request('manifest');
    assert.equal(await source.fetch(manifest, signal), content);
    assert.deepEqual(led, [manifest]);
  });

  it('says nothing of a manifest that no peer holds, and why none gave it', async () => {
    const { source, led } = start(undefined);
    const manifest = request('manifest');
    assert.equal(await source.fetch(manifest, signal), undefined);
    assert.deepEqual(led, []);
    assert.equal(source.reasonFor(manifest), 'no-provider');
  });

  it('gives what it takes for others as it arrives', async () => {
    const taken = { ...content, origin: 'http://10.0.0.9:5000' };
    assert.equal(
      await start(content, undefined, taken).source.fetch(request('blob'), signal),
      taken,
    );
  });

  it('gives what others receive at this moment before what others hold', async () => {
    const begun = { ...content, origin: 'http://10.0.0.8:5000' };
    assert.equal(await start(content, begun).source.fetch(request('blob'), signal), begun);
  });
});
