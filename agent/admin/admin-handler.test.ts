import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';

import { createMetrics } from '../metrics/metrics.ts';
import type { Provider } from '../routing/router.ts';
import { AdminHandler, type DebugSources } from './admin-handler.ts';
import { HttpListener } from '../http/http-listener.ts';

const PROVIDER: Provider = { peerId: 'p', origins: ['http://10.0.0.1:5000'] };

async function start(t: TestContext, debug?: DebugSources): Promise<string> {
  const handler = new AdminHandler({
    metrics: createMetrics(),
    readiness: () => ({ ready: true, checks: {} }),
    debug: () => debug,
  });
  const address = { host: '127.0.0.1', port: 0 };
  const listener = new HttpListener(address, '--metrics-addr', async (req, res) => {
    await handler.handle(req, res);
  });
  const port = await listener.start();
  t.after(() => listener.stop(0));
  return `http://127.0.0.1:${port}`;
}

describe('what is served below /debug/', () => {
  it('is nothing unless it is switched on', async (t) => {
    const origin = await start(t);
    for (const path of ['status', 'peers', 'providers?key=x']) {
      assert.equal((await fetch(`${origin}/debug/${path}`)).status, 404, path);
    }
  });

  it('names peers, and the providers of a key', async (t) => {
    const asked: string[] = [];
    const origin = await start(t, {
      status: () => ({ version: '1' }),
      peers: () => [PROVIDER],
      async *lookup(key) {
        await Promise.resolve();
        asked.push(key);
        yield PROVIDER;
      },
    });
    const json = async (path: string): Promise<unknown> => (await fetch(origin + path)).json();
    assert.deepEqual(await json('/debug/status'), { version: '1' });
    assert.deepEqual(await json('/debug/peers'), { peers: [PROVIDER] });
    const key = 'docker.io/library/alpine:3.20';
    const answer = await json(`/debug/providers?key=${encodeURIComponent(key)}`);
    assert.deepEqual(answer, { key, peers: [PROVIDER] });
    assert.deepEqual(asked, [key]);
  });

  it('bounds look-ups: their keys, and how many there are at once', async (t) => {
    const release = Promise.withResolvers<undefined>();
    const origin = await start(t, {
      status: () => ({}),
      peers: () => [],
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
