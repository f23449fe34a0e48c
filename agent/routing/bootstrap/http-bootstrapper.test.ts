import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';

import { HttpBootstrapper } from './http-bootstrapper.ts';

const noSignal = new AbortController().signal;
const ID = '12D3KooWQmYKYNqzRVPNnFQ3Q3XCQtWcG6X5yQ1jAeLC8VmTTqN7';
const PEER = { ID, Addrs: ['/ip4/10.0.0.1/tcp/5001', '/ip6/fd00::1/tcp/5001'] };

/** Serves the answer at every path until the test ends; gives the base URL and the paths that were requested. */
async function serve(
  t: TestContext,
  { status = 200, body }: { status?: number; body: string },
): Promise<{ base: string; paths: string[] }> {
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url ?? '');
    response.writeHead(status).end(body);
  }).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, paths };
}

describe('HttpBootstrapper', () => {
  it('reads one peer or a list of peers', async (t) => {
    for (const body of [JSON.stringify(PEER), JSON.stringify([PEER])]) {
      const { base } = await serve(t, { body });
      const [peer, ...others] = await new HttpBootstrapper(base).find(noSignal);
      assert.equal(others.length, 0);
      assert.equal(peer?.peerId, ID);
      assert.deepEqual(peer.multiaddrs.map(String), PEER.Addrs);
    }
  });

  it('appends /id to the base URL, with or without a slash at its end', async (t) => {
    const { base, paths } = await serve(t, { body: JSON.stringify(PEER) });
    await new HttpBootstrapper(base).find(noSignal);
    await new HttpBootstrapper(`${base}/sub/`).find(noSignal);
    assert.deepEqual(paths, ['/id', '/sub/id']);
  });

  it('reads a bounded number of addresses of one peer', async (t) => {
    const addresses = Array.from({ length: 100 }, (_, i) => `/ip4/10.0.0.${i}/tcp/5001`);
    const { base } = await serve(t, { body: JSON.stringify({ ID, Addrs: addresses }) });
    const [peer] = await new HttpBootstrapper(base).find(noSignal);
    assert.equal(peer?.multiaddrs.length, 32);
  });

  for (const [what, body] of [
    ['empty', ''],
    ['null', 'null'],
    ['without fields', '{}'],
    ['with a malformed ID', '{"ID":"x","Addrs":["/ip4/10.0.0.1/tcp/5001"]}'],
    ['with a malformed address', `{"ID":"${ID}","Addrs":["nowhere"]}`],
    ['without addresses', `{"ID":"${ID}","Addrs":[]}`],
    ['longer than 1 MiB', `"${'x'.repeat(2 * 1024 * 1024)}"`],
  ] as const) {
    it(`fails with an error that names the URL when the answer is ${what}`, async (t) => {
      const { base } = await serve(t, { body });
      await assert.rejects(new HttpBootstrapper(base).find(noSignal), {
        code: 'ERR_BOOTSTRAP',
        message: new RegExp(`${base}/id`),
      });
    });
  }

  it('fails when the status is not 200, or when nothing listens', async (t) => {
    const { base } = await serve(t, { status: 500, body: JSON.stringify(PEER) });
    await assert.rejects(new HttpBootstrapper(base).find(noSignal), {
      code: 'ERR_BOOTSTRAP',
      message: /status 500/,
    });
    await assert.rejects(new HttpBootstrapper('http://127.0.0.1:9').find(noSignal), {
      code: 'ERR_BOOTSTRAP',
    });
  });
});
