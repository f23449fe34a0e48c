import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';

import { parseRegistries } from '../../hosts/registries/parse-registries.ts';
import type { Registries } from '../../hosts/registries/registries.ts';
import { SharePolicy } from '../../oci/share-policy.ts';
import { parseShareRule, type ShareRule } from '../../oci/share-rule.ts';
import { makeImage, putImage } from '../../testing/image.ts';
import { FixedRouter, startMirror, type MirrorNodeInit } from '../../testing/mirror-node.ts';
import { responseHead, startRogue } from '../../testing/rogue-peer.ts';
import { sendError, TokenRegistry } from '../../testing/token-registry.ts';
import { upstreamTo, type UpstreamFixtureInit } from '../../testing/upstream-fixture.ts';
import { ImportedNames } from '../imported-names.ts';

const REPOSITORY = 'library/app';
/** Larger than what is looked at before the answer begins. */
const LAYER = randomBytes(12_000_000);

/** Requests of a client that names no registry, as Docker, and cannot go to one itself. */
async function start(
  t: TestContext,
  registry: TokenRegistry,
  node: (credentials: readonly ShareRule[]) => MirrorNodeInit,
  init: UpstreamFixtureInit = {},
) {
  const names = [{ registry: 'docker.io', server: registry.origin }];
  const { source, tags, credentials } = await upstreamTo(t, names, init);
  const rules = credentials.repositories.map(({ registry: host, path }): ShareRule => ({
    ...{ text: '', mode: 'authorized', registry: host },
    path: path === '' ? [] : path.split('/'),
  }));
  const mirror = await startMirror({
    ...{ upstream: source, tags, unnamedRegistry: 'docker.io', ...node(rules) },
  });
  t.after(() => mirror[Symbol.asyncDispose]());
  return {
    mirror,
    ask: async (reference: string) => {
      const response = await fetch(`${mirror.origin}/v2/${REPOSITORY}/${reference}`);
      const { status, headers } = response;
      const [digest, warning] = [headers.get('docker-content-digest'), headers.get('warning')];
      return { status, digest, warning, bytes: Buffer.from(await response.arrayBuffer()) };
    },
  };
}

describe('a client without another way to the registry', () => {
  it('gets a tag from its registry, then from other nodes, and the rest of a blob from a registry that limits manifests', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const layer = registry.addBlob(LAYER);
    const { digest, bytes } = registry.addImage(REPOSITORY, '1', [layer]);
    // It has the manifest, and dies in the middle of each blob.
    const dying = await startRogue((socket, request) => {
      const isManifest = request.includes('/manifests/');
      const body = isManifest ? bytes : LAYER;
      const head = {
        'content-length': body.length,
        'content-type': isManifest
          ? 'application/vnd.oci.image.manifest.v1+json'
          : 'application/octet-stream',
        'docker-content-digest': isManifest ? digest : layer,
      };
      socket.write(responseHead(200, head));
      if (request.startsWith('HEAD')) return;
      if (isManifest) socket.write(body);
      else socket.end(body.subarray(0, 9_000_000));
    });
    t.after(() => dying[Symbol.asyncDispose]());
    const router = new FixedRouter({ peerId: 'dying', origins: [dying.origin] });
    const { mirror, ask } = await start(t, registry, () => ({ router }));
    putImage(mirror.store, makeImage(10), `docker.io/${REPOSITORY}:1`);
    const first = await ask('manifests/1');
    assert.deepEqual([first.status, first.digest, first.warning], [200, digest, null]);
    registry.faults.registry = (req, res) => {
      if (req.url?.includes('/manifests/') !== true) return false;
      sendError(res, 429, 'TOOMANYREQUESTS', 'slow down');
      return true;
    };
    const second = await ask('manifests/1');
    assert.deepEqual([second.status, second.digest], [200, digest]);
    assert.match(second.warning ?? '', /^299 - "docker\.io cannot be asked/);
    assert.deepEqual(second.bytes, bytes);
    const blob = await ask(`blobs/${layer}`);
    assert.deepEqual([blob.status, blob.warning], [200, null]);
    assert.ok(blob.bytes.equals(LAYER));
    assert.ok(dying.requests.some((it) => it.includes('/blobs/')));
    const rests = registry.seen.filter(({ at, range }) => at === 'storage' && range !== undefined);
    assert.ok(rests.length > 0, 'the end of it comes from the registry');
  });

  it('gets no tag by credentials of the node, nor by ones that come later, where the registry decides who may', async (t) => {
    const user = { username: 'team', password: 'secret' };
    const registry = await TokenRegistry.start(t, { user, scheme: 'basic' });
    registry.addImage(REPOSITORY, '1', []);
    const folder = await mkdtemp(join(tmpdir(), 'peerglass-tags-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    const file = join(folder, 'config.json');
    await writeFile(file, JSON.stringify({ auths: { 'docker.io': user } }));
    const policyOf = (withCredentials: readonly ShareRule[]): MirrorNodeInit => {
      const policy = new SharePolicy({ rules: [parseShareRule('*=auto')], withCredentials });
      const router = new FixedRouter();
      const isImported = (): boolean => false;
      return {
        ...{ policy, router },
        names: new ImportedNames({ policy, router, isImported, onResolved: () => undefined }),
      };
    };
    const having = await start(t, registry, policyOf, { credentialsFile: file });
    assert.equal((await having.ask('manifests/1')).status, 404);
    assert.deepEqual(registry.requests('registry'), [], 'it is left to the client');

    const follows: { current: Registries } = { current: parseRegistries('').registries };
    const later = await start(t, registry, policyOf, { follows });
    const { host } = new URL(registry.origin);
    follows.current = parseRegistries(
      `mirrors: { docker.io: { endpoint: ["${registry.origin}"] } }\n` +
        `configs: { "${host}": { auth: { username: team, password: secret } } }`,
    ).registries;
    assert.equal((await later.ask('manifests/1')).status, 403);
    assert.ok(registry.requests('registry').length > 0);
    assert.ok(registry.seen.every(({ authorization }) => authorization === undefined));
  });
});
