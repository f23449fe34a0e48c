import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { describe, it, type TestContext } from 'node:test';

import type { RegistryTags, TagAnswer } from '../content/registry-tags.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import { send, sendError, TokenRegistry } from '../testing/token-registry.ts';
import { byHttp, bytesOf, requestFor, upstreamTo } from '../testing/upstream-fixture.ts';

const { signal } = new AbortController();
const HOUR = 3_600_000;

/** A registry without tokens, the resolver of an agent that asks it, and the clock of that. */
async function start(t: TestContext, init: { tagTtl?: number; staleTags?: number } = {}) {
  const registry = await TokenRegistry.start(t, { scheme: 'none' });
  const clock = { now: 0 };
  const upstream = await upstreamTo(t, [byHttp(registry)], { ...init, now: () => clock.now });
  const { tags, source } = upstream;
  const resolve = (tag = '1', mayRemember = true): Promise<TagAnswer> =>
    tags.resolve(requestFor(registry.name, 'a', { tag }), { mayRemember }, signal);
  return { registry, clock, resolve, tags, source };
}

/** The registry answers every request with this status. */
function failWith(registry: TokenRegistry, status: number, headers: Record<string, string> = {}) {
  registry.faults.registry = (_req, res) => {
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
    sendError(res, status, 'SOME', 'the words of the registry');
    return true;
  };
}

describe('TagResolver', () => {
  it('asks the registry each time, by HEAD, and sees at once that a tag has moved', async (t) => {
    const { registry, resolve } = await start(t);
    for (const layers of [[], [registry.addBlob(Buffer.from('new'))]]) {
      const { digest, bytes } = registry.addImage('a', '1', layers);
      const answer = await resolve();
      assert.equal(answer.kind, 'resolved');
      assert.deepEqual(answer.descriptor, {
        ...{ mediaType: MEDIA_TYPE.ociManifest, digest, size: bytes.length },
      });
      assert.equal(answer.origin, registry.origin);
      assert.equal(answer.isRemembered, false);
    }
    assert.deepEqual(registry.requests('registry'), Array(2).fill('HEAD /v2/a/manifests/1'));
  });

  it('asks once for all that want a tag while it asks, and shares a failure as well', async (t) => {
    const { registry, resolve } = await start(t);
    registry.addImage('a', '1', []);
    const all = await Promise.all(Array.from({ length: 20 }, () => resolve()));
    assert.ok(all.every(({ kind }) => kind === 'resolved'));
    assert.equal(registry.seen.length, 1);
    failWith(registry, 500);
    const failed = await Promise.all(Array.from({ length: 20 }, () => resolve()));
    assert.ok(failed.every(({ kind }) => kind === 'away'));
    assert.equal(registry.seen.length, 2);
  });

  it('asks on for the others when one of them leaves', async (t) => {
    const { registry, resolve, tags } = await start(t);
    registry.addImage('a', '1', []);
    const leaves = new AbortController();
    const request = requestFor(registry.name, 'a', { tag: '1' });
    const left = tags.resolve(request, { mayRemember: true }, leaves.signal);
    const stays = resolve();
    leaves.abort(new Error('left'));
    await assert.rejects(left, /left/);
    assert.equal((await stays).kind, 'resolved');
  });

  for (const [what, head] of Object.entries({
    'knows no HEAD': { status: 405, type: MEDIA_TYPE.ociManifest },
    'does not tell the type': { status: 200, type: 'application/octet-stream' },
    'does not tell the digest': { status: 200, type: MEDIA_TYPE.ociManifest },
  })) {
    it(`fetches the manifest of a registry that ${what}, once for the GET behind it too`, async (t) => {
      const { registry, resolve, source } = await start(t);
      const { digest, bytes } = registry.addImage('a', '1', []);
      registry.faults.registry = (req, res) => {
        if (req.method !== 'HEAD') return false;
        send(res, head.status, head.type, bytes);
        return true;
      };
      const answer = await resolve();
      assert.equal(answer.kind, 'resolved');
      assert.equal(answer.descriptor.digest, digest);
      const request = requestFor(registry.name, 'a', { manifest: digest });
      assert.deepEqual(await bytesOf(await source.fetch(request, signal)), bytes);
      assert.deepEqual(
        registry.requests('registry').filter((it) => it.startsWith('GET ')),
        ['GET /v2/a/manifests/1'],
      );
    });
  }

  it('remembers for --tag-ttl what a tag means, and never what it may not remember', async (t) => {
    const { registry, clock, resolve } = await start(t, { tagTtl: 60_000 });
    const { digest } = registry.addImage('a', '1', []);
    await resolve();
    registry.addImage('a', '1', [registry.addBlob(Buffer.from('new'))]);
    clock.now = 59_999;
    const again = await resolve();
    assert.ok(
      again.kind === 'resolved' && again.isRemembered && again.descriptor.digest === digest,
    );
    const anew = await resolve('1', false);
    assert.ok(anew.kind === 'resolved' && anew.descriptor.digest !== digest);
    clock.now += 60_000;
    const later = await resolve();
    assert.ok(later.kind === 'resolved' && later.descriptor.digest !== digest);
    assert.equal(registry.seen.length, 3);
  });

  for (const [status, headers] of [
    [500, {}],
    [502, {}],
    [503, { 'Retry-After': '60' }],
    [429, { 'Retry-After': '60' }],
  ] as const) {
    it(`gives what the registry last said when it answers ${status}, with its words`, async (t) => {
      const { registry, resolve } = await start(t);
      const { digest } = registry.addImage('a', '1', []);
      await resolve();
      failWith(registry, status, headers);
      for (let asked = 0; asked < 3; asked += 1) {
        const answer = await resolve();
        assert.equal(answer.kind, 'away');
        assert.equal(answer.last?.descriptor.digest, digest);
        assert.match(answer.error.detail, new RegExp(String(status)));
      }
      const unknown = await resolve('2');
      assert.ok(unknown.kind === 'away' && unknown.last === undefined);
      const mayNot = await resolve('1', false);
      assert.ok(mayNot.kind === 'away' && mayNot.last === undefined);
    });
  }

  it('leaves a registry alone that has asked for it', async (t) => {
    const { registry, resolve } = await start(t);
    registry.addImage('a', '1', []);
    await resolve();
    failWith(registry, 429, { 'Retry-After': '60' });
    for (let asked = 0; asked < 5; asked += 1) assert.equal((await resolve()).kind, 'away');
    assert.equal(registry.seen.length, 2);
  });

  for (const status of [401, 403, 404]) {
    it(`takes ${status} as final, also in an outage behind it`, async (t) => {
      const { registry, resolve } = await start(t);
      registry.addImage('a', '1', []);
      await resolve();
      failWith(registry, status);
      const answer = await resolve();
      assert.equal(answer.kind, 'refused');
      assert.match(answer.error.detail, new RegExp(String(status)));
      failWith(registry, 500);
      assert.equal((await resolve()).kind, 'refused');
    });
  }

  it('gives nothing of the past when the registry answers, and not as a registry does', async (t) => {
    const { registry, resolve } = await start(t);
    registry.addImage('a', '1', []);
    await resolve();
    for (const answer of ['<html>', 'no manifest']) {
      registry.faults.registry = (_req, res) => {
        send(res, 200, answer === '<html>' ? 'text/html' : 'text/plain', Buffer.from(answer));
        return true;
      };
      assert.equal((await resolve()).kind, 'refused');
    }
  });

  it('waits for a silent registry once, and not for each tag', async (t) => {
    const silent = createServer();
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    let connections = 0;
    silent.on('connection', (socket) => {
      connections += 1;
      socket.on('error', () => undefined);
      t.after(() => socket.destroy());
    });
    t.after(() => silent.close());
    const { port } = silent.address() as { port: number };
    const name = `127.0.0.1:${port}`;
    const clock = { now: 0 };
    const { tags } = await upstreamTo(t, [{ registry: name, server: `http://${name}` }], {
      ...{ timeout: 300, now: () => clock.now },
    });
    const ask = (tag: string): ReturnType<RegistryTags['resolve']> =>
      tags.resolve(requestFor(name, 'a', { tag }), { mayRemember: true }, signal);
    for (let tag = 0; tag < 10; tag += 1) {
      const answer = await ask(String(tag));
      assert.equal(answer.kind, 'away');
      assert.match(answer.error.detail, /no answer in 300 ms/);
    }
    const before = connections;
    clock.now = HOUR;
    await ask('1');
    assert.deepEqual([before, connections > before], [1, true]);
  });

  it('gives nothing of the past once a registry was away for --stale-tags, until it is back', async (t) => {
    const { registry, clock, resolve } = await start(t, { staleTags: HOUR });
    registry.addImage('a', '1', []);
    registry.addImage('a', '2', []);
    await resolve();
    clock.now = 10 * HOUR;
    await resolve('2');
    failWith(registry, 500);
    const old = await resolve('1');
    assert.ok(old.kind === 'away' && old.last === undefined, 'no digest is kept for longer either');
    clock.now += HOUR - 1;
    assert.equal((await resolve('2')).kind, 'away');
    clock.now += 1;
    assert.equal((await resolve('2')).kind, 'refused');
    registry.faults.registry = () => false;
    assert.equal((await resolve('2')).kind, 'resolved');
    failWith(registry, 500);
    const again = await resolve('2');
    assert.ok(again.kind === 'away' && again.last !== undefined);
  });

  it('does not take two failures, between which it was not asked, for one long outage', async (t) => {
    const { registry, clock, resolve } = await start(t, { staleTags: HOUR });
    registry.addImage('a', '1', []);
    failWith(registry, 500);
    for (const [after, kind] of [
      [0, 'away'],
      [2 * HOUR, 'away'],
      [HOUR / 2, 'away'],
      [HOUR / 2, 'refused'],
    ] as const) {
      clock.now += after;
      assert.equal((await resolve()).kind, kind);
    }
  });

  it('gives nothing of the past with --stale-tags 0', async (t) => {
    const { registry, resolve } = await start(t, { staleTags: 0 });
    registry.addImage('a', '1', []);
    await resolve();
    failWith(registry, 500);
    assert.equal((await resolve()).kind, 'refused');
  });

  it('covers the registries of --upstream alone', async (t) => {
    const { registry, tags } = await start(t);
    assert.deepEqual(
      [registry.name, 'ghcr.io', ''].map((it) => tags.covers(it)),
      [true, false, false],
    );
  });
});
