import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { createMetrics } from '../metrics/metrics.ts';
import { listen } from '../testing/listen.ts';
import type { Provider } from '../routing/router.ts';
import { AdminHandler, type DebugSources } from './admin-handler.ts';

const PROVIDER: Provider = { peerId: 'p', origins: ['http://10.0.0.1:5000'] };

async function start(t: TestContext, debug?: DebugSources): Promise<string> {
  const handler = new AdminHandler({
    metrics: createMetrics(),
    readiness: () => ({ ready: true, checks: {} }),
    debug: () => debug,
  });
  return await listen(t, async (req, res) => {
    await handler.handle(req, res);
  });
}

const notAsked: DebugSources['ask'] = () => Promise.reject(new Error('not asked'));

describe('AdminHandler', () => {
  it('answers its endpoints by GET and HEAD, and anything else with an error', async (t) => {
    const origin = await start(t);
    for (const [path, status, type] of [
      ['/livez', 200, 'application/json'],
      ['/readyz', 200, 'application/json'],
      ['/metrics', 200, 'text/plain'],
      ['/', 404, 'application/json'],
    ] as const) {
      for (const method of ['GET', 'HEAD']) {
        const response = await fetch(origin + path, { method });
        assert.equal(response.status, status, path);
        assert.ok(response.headers.get('content-type')?.startsWith(type), path);
        await response.body?.cancel();
      }
    }
    const post = await fetch(`${origin}/livez`, { method: 'POST' });
    assert.deepEqual([post.status, post.headers.get('allow')], [405, 'GET, HEAD']);
    await post.body?.cancel();
  });

  it('hides /debug/ from clients that may not read it, and says how they can', async (t) => {
    const debug = (): DebugSources => ({
      status: () => Promise.resolve({ version: '1' }),
      downloads: () => ({ downloads: [] }),
      peers: () => [PROVIDER],
      ask: notAsked,
      lookup: async function* () {
        await Promise.resolve();
        yield PROVIDER;
      },
    });
    const asked: (string | undefined)[] = [];
    let may = false;
    const handler = new AdminHandler({
      metrics: createMetrics(),
      readiness: () => ({ ready: true, checks: {} }),
      debug,
      mayDebug: (address) => {
        asked.push(address);
        return may;
      },
    });
    const origin = await listen(t, async (req, res) => {
      await handler.handle(req, res);
    });
    for (const path of [
      '/debug/status',
      '/debug/peers',
      '/debug/downloads',
      '/debug/providers?key=a',
    ]) {
      may = false;
      const refused = await fetch(origin + path);
      assert.equal(refused.status, 404, path);
      const { error } = (await refused.json()) as { error: string };
      assert.match(error, /kubectl port-forward .*--debug-clients/);
      may = true;
      const answer = await fetch(origin + path);
      assert.equal(answer.status, 200, path);
      await answer.body?.cancel();
    }
    may = false;
    for (const path of ['/livez', '/readyz', '/metrics']) {
      const answer = await fetch(origin + path);
      assert.equal(answer.status, 200, path);
      await answer.body?.cancel();
    }
    assert.deepEqual([asked.length, asked[0]], [8, '127.0.0.1']);
  });

  it('answers /readyz with 503 and the reasons while the node is not ready', async (t) => {
    const readiness = { ready: false, checks: { store: { ok: false, reason: 'not there' } } };
    const handler = new AdminHandler({ metrics: createMetrics(), readiness: () => readiness });
    const origin = await listen(t, async (req, res) => {
      await handler.handle(req, res);
    });
    const response = await fetch(`${origin}/readyz`);
    assert.equal(response.status, 503);
    assert.deepEqual(await response.json(), readiness);
  });

  it('updates gauges and takes debug sources at each request, so that both may come late', async (t) => {
    let refreshed = 0;
    let debug: DebugSources | undefined = undefined;
    const handler = new AdminHandler({
      metrics: createMetrics(),
      readiness: () => ({ ready: true, checks: {} }),
      refresh: () => (refreshed += 1),
      debug: () => debug,
    });
    const origin = await listen(t, async (req, res) => {
      await handler.handle(req, res);
    });
    const statusOf = async (path: string): Promise<number> => {
      const response = await fetch(origin + path);
      await response.body?.cancel();
      return response.status;
    };
    assert.equal(await statusOf('/debug/peers'), 404);
    debug = {
      status: () => Promise.resolve({}),
      downloads: () => ({ downloads: [] }),
      peers: () => [PROVIDER],
      ask: notAsked,
      lookup: () => [] as never,
    };
    assert.equal(await statusOf('/debug/peers'), 200);
    assert.equal(await statusOf('/metrics'), 200);
    assert.equal(refreshed, 1);
  });

  it('serves nothing below /debug/ while it has no sources for that', async (t) => {
    const origin = await start(t);
    for (const path of ['status', 'peers', 'downloads', 'providers?key=x']) {
      assert.equal((await fetch(`${origin}/debug/${path}`)).status, 404, path);
    }
  });

  it('serves the status, the peers, the downloads, and the providers of a key', async (t) => {
    const asked: string[] = [];
    const origin = await start(t, {
      status: () => Promise.resolve({ version: '1' }),
      downloads: () => ({ downloads: [] }),
      peers: () => [PROVIDER],
      ask: (_, { kind, registry, repository, reference }) =>
        Promise.resolve([kind, registry, repository, reference].join(' ')),
      async *lookup(key) {
        await Promise.resolve();
        asked.push(key);
        yield PROVIDER;
      },
    });
    const json = async (path: string): Promise<unknown> => (await fetch(origin + path)).json();
    assert.deepEqual(await json('/debug/status'), { version: '1' });
    assert.deepEqual(await json('/debug/peers'), { peers: [PROVIDER] });
    assert.deepEqual(await json('/debug/downloads'), { downloads: [] });
    const key = 'docker.io/library/alpine:3.20';
    const answer = await json(`/debug/providers?key=${encodeURIComponent(key)}`);
    assert.deepEqual(answer, { key, peers: [PROVIDER] });
    assert.deepEqual(asked, [key]);
    // With their answers when they are to be asked.
    const digest = `sha256:${'a'.repeat(64)}`;
    for (const [of, words] of [
      ['manifest:docker.io/library/alpine:3.20', 'manifest docker.io library/alpine 3.20'],
      [`blob:localhost:5000/a/b@${digest}`, `blob localhost:5000 a/b ${digest}`],
    ] as const) {
      const query = new URLSearchParams({ key, of });
      const { peers } = (await json(`/debug/providers?${query.toString()}`)) as { peers: unknown };
      assert.deepEqual(peers, [{ ...PROVIDER, answer: words }]);
    }
    for (const text of ['', 'x', 'manifest:alpine', `tag:docker.io/a:1`, 'blob:a/b@']) {
      const query = new URLSearchParams({ key, of: text });
      assert.equal(
        (await fetch(`${origin}/debug/providers?${query.toString()}`)).status,
        400,
        text,
      );
    }
  });

  it('refuses a look-up of a key that is too long, and more than four at once', async (t) => {
    const release = Promise.withResolvers<undefined>();
    const origin = await start(t, {
      status: () => Promise.resolve({}),
      downloads: () => ({ downloads: [] }),
      peers: () => [],
      ask: notAsked,
      async *lookup() {
        await release.promise;
        yield PROVIDER;
      },
    });
    for (const key of ['', 'x'.repeat(385)]) {
      assert.equal((await fetch(`${origin}/debug/providers?key=${key}`)).status, 400);
    }
    const many = Array.from({ length: 5 }, () => fetch(`${origin}/debug/providers?key=x`));
    const first = await Promise.race(many);
    assert.equal(first.status, 503);
    release.resolve(undefined);
    const statuses = (await Promise.all(many)).map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 200).length, 4);
  });
});
