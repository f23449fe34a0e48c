import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import { describe, it } from 'node:test';

import type { ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import { send, TokenRegistry } from '../testing/token-registry.ts';
import { byHttp, bytesOf, requestFor, upstreamTo } from '../testing/upstream-fixture.ts';

const signal = new AbortController().signal;
const addresses = Object.values(networkInterfaces()).flatMap((all) => all ?? []);
const noIpv6 = !addresses.some(({ address }) => address === '::1') && 'no ::1 here';

describe('UpstreamSource', () => {
  it('pulls an image with an anonymous token, and gets the blobs from storage without it', async (t) => {
    const registry = await TokenRegistry.start(t);
    const layer = randomBytes(3_000_000);
    const blob = registry.addBlob(layer);
    const image = registry.addImage('team/app', '1.0', [blob]);
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    const { name } = registry;

    const head = await source.fetch(
      requestFor(name, 'team/app', { tag: '1.0' }, { method: 'HEAD' }),
      signal,
    );
    assert.equal(head?.kind, 'head');
    assert.deepEqual(head.descriptor, {
      ...{ mediaType: MEDIA_TYPE.ociManifest, digest: image.digest, size: image.bytes.length },
    });
    assert.equal(head.origin, registry.origin);
    const manifest = await source.fetch(
      requestFor(name, 'team/app', { manifest: image.digest }),
      signal,
    );
    assert.deepEqual(await bytesOf(manifest), image.bytes);
    const content = await source.fetch(requestFor(name, 'team/app', { blob }), signal);
    assert.equal(content?.descriptor.size, layer.length);
    assert.deepEqual(await bytesOf(content), layer);

    assert.deepEqual(registry.requests('token'), ['GET /token'], 'one token for all');
    const [challenged, ...allowed] = registry.seen.filter(({ at }) => at === 'registry');
    assert.equal(challenged?.authorization, undefined);
    assert.ok(allowed.every(({ authorization }) => authorization?.startsWith('Bearer ')));
    const [stored] = registry.seen.filter(({ at }) => at === 'storage');
    assert.equal(stored?.authorization, undefined);
  });

  for (const dataPlane of ['auto', 'stream'] as const) {
    it(
      `pulls from a registry at an address of IPv6, with a token and from storage (${dataPlane})`,
      { skip: noIpv6 },
      async (t) => {
        const registry = await TokenRegistry.start(t, { host: '::1' });
        const layer = Buffer.alloc(100_000, 'layer');
        const blob = registry.addBlob(layer);
        const { bytes } = registry.addImage('a/b', '1', [blob]);
        assert.match(registry.name, /^\[::1\]:/);
        const { source } = await upstreamTo(t, [byHttp(registry)], { dataPlane });
        const fetched = async (reference: { tag: string } | { blob: Digest }): Promise<Buffer> =>
          bytesOf(await source.fetch(requestFor(registry.name, 'a/b', reference), signal));
        assert.deepEqual(await fetched({ tag: '1' }), bytes);
        assert.deepEqual(await fetched({ blob }), layer);
        assert.equal(registry.requests('storage').length, 1);
      },
    );
  }

  it('gives nothing for another registry', async (t) => {
    const registry = await TokenRegistry.start(t);
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    for (const other of ['ghcr.io', '', '127.0.0.1', `${registry.name}0`]) {
      assert.equal(await source.fetch(requestFor(other, 'a', { tag: '1' }), signal), undefined);
    }
    assert.deepEqual(registry.seen, []);
  });

  it('gives the bytes of a range, and the size of a blob, which it does not ask for by HEAD', async (t) => {
    const registry = await TokenRegistry.start(t);
    const layer = randomBytes(100_000);
    const blob = registry.addBlob(layer);
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    for (const [range, part] of [
      [{ kind: 'from', start: 99_000 }, layer.subarray(99_000)],
      [{ kind: 'between', start: 10, end: 19 }, layer.subarray(10, 20)],
      [{ kind: 'last', length: 5 }, layer.subarray(-5)],
    ] as const) {
      const content = await source.fetch(
        requestFor(registry.name, 'a', { blob }, { range }),
        signal,
      );
      assert.equal(content?.descriptor.size, layer.length);
      assert.deepEqual(await bytesOf(content), part);
    }
    const head = await source.fetch(
      requestFor(registry.name, 'a', { blob }, { method: 'HEAD' }),
      signal,
    );
    assert.equal(head?.kind, 'head');
    assert.equal(head.descriptor.size, layer.length);
    assert.ok(registry.requests('registry').every((it) => it.startsWith('GET ')));
  });

  it('gives an empty blob, and its size', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const blob = registry.addBlob(Buffer.alloc(0));
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    assert.equal(
      (await bytesOf(await source.fetch(requestFor(registry.name, 'a', { blob }), signal))).length,
      0,
    );
    const head = await source.fetch(
      requestFor(registry.name, 'a', { blob }, { method: 'HEAD' }),
      signal,
    );
    assert.equal(head?.descriptor.size, 0);
  });

  it('asks for a manifest once, however many clients want it at the same time', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const { digest, bytes } = registry.addImage('a', '1', []);
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    const all = await Promise.all(
      Array.from({ length: 20 }, () =>
        source.fetch(requestFor(registry.name, 'a', { manifest: digest }), signal),
      ),
    );
    for (const content of all) assert.deepEqual(await bytesOf(content), bytes);
    assert.equal(registry.seen.length, 1);
  });

  it('hashes a manifest of a tag itself, and fetches it where HEAD does not tell enough', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const { digest, bytes } = registry.addImage('a', '1', []);
    registry.faults.registry = (req, res) => {
      if (req.method === 'HEAD') res.writeHead(405).end();
      else {
        res.setHeader('Docker-Content-Digest', `sha256:${'0'.repeat(64)}`);
        send(res, 200, 'application/json', bytes);
      }
      return true;
    };
    const { source } = await upstreamTo(t, [byHttp(registry)]);
    for (const method of ['HEAD', 'GET'] as const) {
      const content = await source.fetch(
        requestFor(registry.name, 'a', { tag: '1' }, { method }),
        signal,
      );
      assert.equal(content?.descriptor.digest, digest);
      assert.equal(content.descriptor.mediaType, MEDIA_TYPE.ociManifest);
      assert.equal(content.descriptor.size, bytes.length);
    }
  });

  it('gives what it fetched for a HEAD to a GET of the same name only: others have other credentials', async (t) => {
    const user = { username: 'team', password: 'secret' };
    const registry = await TokenRegistry.start(t, { user, scheme: 'basic' });
    const open = await TokenRegistry.start(t, { scheme: 'none' });
    const { digest, bytes } = registry.addImage('a', '1', []);
    const addressedTo = (name: string): ContentRequest =>
      requestFor(name, 'a', { manifest: digest });
    registry.faults.registry = (req, res) => {
      if (req.method !== 'HEAD') return false;
      res.writeHead(405).end();
      return true;
    };
    const yaml = `configs: { "${registry.name}": { auth: { username: team, password: secret } } }`;
    const { source } = await upstreamTo(t, [byHttp(registry), byHttp(open)], { yaml });
    await source.fetch({ ...addressedTo(registry.name), method: 'HEAD' }, signal);
    await assert.rejects(source.fetch(addressedTo(open.name), signal), {
      code: 'MANIFEST_UNKNOWN',
    });
    const asked = registry.seen.length;
    assert.deepEqual(await bytesOf(await source.fetch(addressedTo(registry.name), signal)), bytes);
    assert.equal(registry.seen.length, asked, 'it has waited for this');
  });

  it('withholds the last bytes of a wrong blob from a client that is not known to verify it', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none', redirects: false });
    const right = randomBytes(500_000);
    const blob = registry.addBlob(right);
    const wrong = Buffer.from(right);
    wrong[7] = (wrong[7] ?? 0) ^ 1;
    registry.faults.registry = (_req, res) => {
      send(res, 200, MEDIA_TYPE.binary, wrong);
      return true;
    };
    const { source, metrics } = await upstreamTo(t, [byHttp(registry)]);
    const content = await source.fetch(requestFor(registry.name, 'a', { blob }), signal);
    assert.equal(content?.kind, 'stream');
    let length = 0;
    await assert.rejects(
      async () => {
        for await (const chunk of content.body) length += chunk.length;
      },
      { reason: 'digest' },
    );
    assert.ok(length < right.length, 'a client cannot take it for whole');
    assert.equal(createHash('sha256').update(wrong).digest('hex') === blob.slice(7), false);
    const received = await metrics.upstreamBytes.get();
    assert.equal(received.values[0]?.value, right.length);
  });

  it('forwards to a client that verifies without hashing', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const layer = randomBytes(200_000);
    const blob = registry.addBlob(layer);
    const { source } = await upstreamTo(t, [byHttp(registry)], { isVerifiedByClient: true });
    assert.deepEqual(
      await bytesOf(await source.fetch(requestFor(registry.name, 'a', { blob }), signal)),
      layer,
    );
  });

  it('gives what the client of the store gets to the followers too, and what others get to none', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const layer = randomBytes(200_000);
    const blob = registry.addBlob(layer);
    for (const isVerifiedByClient of [true, false]) {
      const fed = Buffer.alloc(layer.length);
      const tails = {
        begin: () => ({
          isWanted: true,
          append: (offset: number, bytes: Uint8Array) => {
            fed.set(bytes, offset);
          },
          [Symbol.dispose]: () => undefined,
        }),
      };
      const { source } = await upstreamTo(t, [byHttp(registry)], { isVerifiedByClient, tails });
      const range = { kind: 'from', start: 1000 } as const;
      const request = requestFor(registry.name, 'a', { blob }, { range });
      await bytesOf(await source.fetch(request, signal));
      assert.equal(fed.subarray(1000).equals(layer.subarray(1000)), isVerifiedByClient);
    }
  });

  it('asks the endpoints of registries.yaml in their order, under their names, then the registry', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const mirror = await TokenRegistry.start(t, { scheme: 'none' });
    const blob = registry.addBlob(Buffer.from('only the registry has it'));
    const both = registry.addBlob(Buffer.from('both have it'));
    mirror.addBlob(Buffer.from('both have it'));
    const yaml = `mirrors: { "${registry.name}": { endpoint: ["${mirror.origin}"], rewrite: { "^team/(.*)": "m/$1" } } }`;
    const { source } = await upstreamTo(t, [byHttp(registry)], { yaml });
    await bytesOf(await source.fetch(requestFor(registry.name, 'team/a', { blob }), signal));
    await bytesOf(await source.fetch(requestFor(registry.name, 'team/a', { blob: both }), signal));
    const [first, second] = mirror.seen.map(({ url }) => url);
    assert.equal(first, `/v2/m/a/blobs/${blob}?ns=${encodeURIComponent(registry.name)}`);
    assert.match(second ?? '', new RegExp(`/v2/m/a/blobs/${both}`));
    assert.deepEqual(registry.requests('registry'), [`GET /v2/team/a/blobs/${blob}`]);
  });

  it('may not fetch what every host of the registry limits, and asks by HEAD all the same', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const { digest } = registry.addImage('a', '1', []);
    const { source, mayFetch } = await upstreamTo(t, [byHttp(registry)]);
    const manifest = requestFor(registry.name, 'a', { manifest: digest });
    const blob = requestFor(registry.name, 'a', { blob: digest });
    const head = requestFor(registry.name, 'a', { tag: '1' }, { method: 'HEAD' });
    registry.faults.registry = (req, res) => {
      if (req.method === 'HEAD') return false;
      res.setHeader('Retry-After', '60');
      send(res, 429, 'application/json', Buffer.from('{}'));
      return true;
    };
    assert.equal(mayFetch(manifest), true);
    await assert.rejects(source.fetch(manifest, signal), { code: 'TOOMANYREQUESTS' });
    assert.deepEqual([manifest, blob, head].map(mayFetch), [false, true, true]);
    assert.equal((await source.fetch(head, signal))?.descriptor.digest, digest);
    const other = requestFor('other.example', 'a', { manifest: digest });
    assert.equal(mayFetch(other), true, 'a registry that the client asks itself');
  });

  it('leaves manifests to other nodes when the registry has allowed the last one', async (t) => {
    const registry = await TokenRegistry.start(t, { scheme: 'none' });
    const { digest } = registry.addImage('a', '1', []);
    const { source, mayFetch } = await upstreamTo(t, [byHttp(registry)]);
    const manifest = requestFor(registry.name, 'a', { manifest: digest });
    for (const [remaining, may] of [
      ['1;w=21600', true],
      ['0;w=21600', false],
      ['7', true],
    ] as const) {
      registry.faults.registry = (_req, res) => {
        res.setHeader('ratelimit-remaining', remaining);
        return false;
      };
      await source.fetch(manifest, signal);
      assert.equal(mayFetch(manifest), may, remaining);
    }
  });
});
