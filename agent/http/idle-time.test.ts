import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { Authority, noOpenssl } from '../testing/certificates.ts';
import { listen } from '../testing/listen.ts';
import { fixedSource } from '../testing/test-tls.ts';
import { http2Stream } from './http2-response.ts';
import type { HttpListenerInit, RequestHandler } from './http-listener.ts';
import { IdleTime } from './idle-time.ts';

const IDLE_MS = 200;
const PERIOD_MS = 20;

/** A listener whose answers begin, wait five times as long as a connection may be idle, and end. */
async function start(t: TestContext, isWaiting: boolean, init?: HttpListenerInit): Promise<string> {
  const handler: RequestHandler = async (req, res, signal) => {
    const stream = http2Stream(res);
    if (stream === undefined) req.socket.setTimeout(IDLE_MS);
    else stream.setTimeout(IDLE_MS);
    using _idleTime = new IdleTime(res, () => isWaiting, PERIOD_MS);
    assert.ok(_idleTime);
    res.writeHead(200, { 'content-length': 2 }).write('o');
    await Promise.race([delay(5 * IDLE_MS), once(signal, 'abort')]);
    res.end('k');
  };
  return await listen(t, handler, init);
}

describe('IdleTime', () => {
  it('keeps a connection open while the body waits for its source', async (t) => {
    const response = await fetch(await start(t, true));
    assert.equal(await response.text(), 'ok');
  });

  it('lets a connection end on which no bytes move for another reason', async (t) => {
    const response = await fetch(await start(t, false));
    await assert.rejects(response.text());
  });

  for (const isWaiting of [true, false]) {
    it(`${isWaiting ? 'keeps' : 'lets end'} a stream of HTTP/2`, { skip: noOpenssl }, async (t) => {
      await using authority = await Authority.create();
      const source = fixedSource(await authority.material('node'));
      const origin = await start(t, isWaiting, { tls: { source, clientAuth: 'none' } });
      const session = connect(origin, { rejectUnauthorized: false });
      t.after(() => {
        session.destroy();
      });
      const stream = session.request({ ':path': '/' });
      let body = '';
      stream.on('data', (chunk: Buffer) => {
        body += chunk.toString();
      });
      await once(stream, 'close');
      assert.equal(body, isWaiting ? 'ok' : 'o');
    });
  }
});
