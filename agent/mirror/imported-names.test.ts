import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Content } from '../content/content-source.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import { pinnedName } from '../oci/reference.ts';
import { SharePolicy } from '../oci/share-policy.ts';
import { parseShareRule } from '../oci/share-rule.ts';
import type { Provider } from '../routing/router.ts';
import { makeImage, putImage, sha256 } from '../testing/image.ts';
import { FixedRouter, providerOf, startMirror, type MirrorNode } from '../testing/mirror-node.ts';
import { ImportedNames, type ImportedNamesComponents } from './imported-names.ts';

const NAME = { registry: 'registry.example', repository: 'team/app' };
const image = makeImage(1_000);
const { digest } = image.manifest;
const PINNED = pinnedName(NAME.registry, NAME.repository, digest);
const policy = new SharePolicy({ rules: [parseShareRule('*=auto')] });
const signal = new AbortController().signal;
const byTag = { ...NAME, kind: 'manifest', method: 'HEAD', tag: '1.0' } as const;
const byDigest = { ...NAME, kind: 'manifest', method: 'HEAD', digest } as const;

/** A directory that has these keys, and fails for `broken`. */
function directoryOf(...keys: readonly string[]): ImportedNamesComponents['router'] {
  return {
    async *lookup(key): AsyncGenerator<Provider> {
      await Promise.resolve();
      if (keys.includes('broken')) throw new Error('stopped');
      if (keys.includes(key)) yield { peerId: 'a', origins: [] };
    },
  };
}

function namesWith(init: Partial<ImportedNamesComponents> = {}): {
  names: ImportedNames;
  resolved: string[];
} {
  const resolved: string[] = [];
  const names = new ImportedNames({
    policy,
    isImported: () => false,
    router: directoryOf(),
    onResolved: ({ registry, repository }, found) => {
      resolved.push(pinnedName(registry, repository, found));
    },
    ...init,
  });
  return { names, resolved };
}

const asking = (request: ContentRequest, fromPeer = false) => ({ ...request, fromPeer });

describe('ImportedNames', () => {
  it('has this node answer for what it has imported, its client and peers', async () => {
    const { names } = namesWith({ isImported: () => true });
    for (const request of [byTag, byDigest]) {
      assert.equal(await names.resolver(asking(request), signal), 'anyone');
    }
    assert.equal(await names.resolver(asking(byTag, true), signal), 'anyone');
  });

  it('has no peer answered for what was pulled', async () => {
    const { names } = namesWith({ router: directoryOf(PINNED) });
    assert.equal(await names.resolver(asking(byTag, true), signal), 'registry');
  });

  it('has peers asked for a tag, and their import of a digest looked up', async () => {
    const { names } = namesWith({ router: directoryOf(PINNED) });
    assert.equal(await names.resolver(asking(byTag), signal), 'peers');
    assert.equal(await names.resolver(asking(byDigest), signal), 'anyone');
    for (const router of [directoryOf(digest), directoryOf('broken')]) {
      const resolver = await namesWith({ router }).names.resolver(asking(byDigest), signal);
      assert.equal(resolver, 'registry', 'content is advertised by digest for any reason');
    }
  });

  it('leaves everything else to the policy', async () => {
    const { names } = namesWith();
    const content = { ...byDigest, method: 'GET' } as const;
    assert.equal(await names.resolver(asking(content), signal), undefined);
    assert.equal(await names.resolver(asking(byDigest, true), signal), undefined);
    const rules = [parseShareRule('*=authorized')];
    const { names: authorized } = namesWith({ policy: new SharePolicy({ rules }) });
    assert.equal(await authorized.resolver(asking(byTag), signal), undefined);
  });

  it('learns what peers have resolved, if a node has imported it', async () => {
    const { names, resolved } = namesWith({ router: directoryOf(PINNED) });
    await names.resolved(byTag, digest);
    await names.resolved({ ...byDigest, method: 'GET' }, digest);
    assert.deepEqual(resolved, [PINNED]);
    await names.resolved(byTag, sha256(Buffer.from('from an agent with other rules')));
    assert.deepEqual(resolved, [PINNED]);
  });
});

describe('a mirror with --share *=auto', () => {
  /** A node that holds the image, imported or pulled; or one that asks it. */
  function start(isImported: boolean, holder?: MirrorNode): Promise<MirrorNode> {
    const router = new FixedRouter(...(holder ? [providerOf('holder', holder)] : []));
    const directory = holder ? directoryOf(PINNED) : directoryOf();
    const { names } = namesWith({ isImported: () => isImported, router: directory });
    return startMirror({ policy, names, router });
  }

  function fromRegistry(): Content {
    const bytes = image.blobs.get(digest) ?? Buffer.alloc(0);
    return { kind: 'whole', descriptor: image.manifest, origin: 'registry', bytes };
  }

  const TAG = '/v2/team/app/manifests/1.0?ns=registry.example';
  const DIGEST = `/v2/team/app/manifests/${digest}?ns=registry.example`;

  async function statusOf({ origin }: MirrorNode, path: string): Promise<number> {
    const response = await fetch(`${origin}${path}`, { method: 'HEAD' });
    return response.status;
  }

  it('says what an imported image means, here and on another node', async () => {
    await using holder = await start(true);
    putImage(holder.store, image, 'registry.example/team/app:1.0');
    await using other = await start(false, holder);
    for (const path of [TAG, DIGEST]) {
      assert.equal(await statusOf(holder, path), 200, path);
      assert.equal(await statusOf(other, path), 200, path);
    }
  });

  it('asks the registry itself without credentials only', async () => {
    for (const [rules, status] of [
      [[], 200],
      [['registry.example=authorized'], 404],
    ] as const) {
      const withCredentials = rules.map(parseShareRule);
      const auto = new SharePolicy({ rules: [parseShareRule('*=auto')], withCredentials });
      const { names } = namesWith({ policy: auto });
      const registry = { fetch: () => Promise.resolve(fromRegistry()) };
      await using node = await startMirror({ policy: auto, names, upstream: registry });
      assert.equal(await statusOf(node, TAG), status);
      const content = await fetch(`${node.origin}${DIGEST}`);
      assert.equal(content.status, 200);
      await content.arrayBuffer();
    }
  });

  it('does not say what a pulled image means, not even where it is held, and gives its content', async () => {
    await using holder = await start(false);
    putImage(holder.store, image, 'registry.example/team/app:1.0');
    await using other = await start(false, holder);
    for (const node of [holder, other]) {
      assert.equal(await statusOf(node, TAG), 404);
      const content = await fetch(`${node.origin}${DIGEST}`);
      assert.equal(content.status, 200);
      assert.equal((await content.arrayBuffer()).byteLength, image.manifest.size);
    }
    assert.equal(await statusOf(holder, DIGEST), 404);
  });
});
