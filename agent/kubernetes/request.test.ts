import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { describe, it, type TestContext } from 'node:test';

import { ask } from './request.ts';

async function start(t: TestContext, answer: RequestListener): Promise<number> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

describe('ask', () => {
  const { signal } = new AbortController();
  const host = '127.0.0.1';

  it('sends the body and returns status and text of the answer', async (t) => {
    const port = await start(t, (req, res) => {
      void text(req).then((body) => res.writeHead(422).end(`${req.method ?? ''} ${body}`));
    });
    const answer = await ask({ host, port, path: '/', method: 'PATCH', body: '[]' }, signal);
    assert.deepEqual(answer, { status: 422, text: 'PATCH []' });
  });

  it('refuses an answer of more than 4 MiB', async (t) => {
    const port = await start(t, (_req, res) => res.end('x'.repeat(5 * 1024 * 1024)));
    await assert.rejects(ask({ host, port, path: '/' }, signal), /more than 4194304 bytes/);
  });

  it('rejects when the connection is refused, and when the signal is aborted', async (t) => {
    const stop = new AbortController();
    const port = await start(t, () => {
      stop.abort();
    });
    await assert.rejects(ask({ host, port: 1, path: '/' }, signal), { code: 'ECONNREFUSED' });
    await assert.rejects(ask({ host, port, path: '/' }, stop.signal), { name: 'AbortError' });
  });
});
