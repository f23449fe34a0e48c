import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';

import { createMetrics } from '../metrics/metrics.ts';
import { eventually } from '../testing/eventually.ts';
import { HttpListener } from './http-listener.ts';
import { instrument } from './instrument.ts';

describe('instrument', () => {
  it('counts a request once its answer is sent, and with code 499 when the client has left before', async () => {
    const metrics = createMetrics();
    const handler = instrument(metrics, 'registry', async (req, res, signal) => {
      if (req.url === '/slow') await once(signal, 'abort');
      if (!res.destroyed) res.end(Buffer.alloc(1000));
      return 'registry';
    });
    const address = { host: '127.0.0.1', port: 0 };
    const listener = new HttpListener(address, '--x', handler, { halfClosedTimeout: 50 });
    const origin = `http://127.0.0.1:${await listener.start()}`;
    await (await fetch(`${origin}/`)).arrayBuffer();
    await assert.rejects(fetch(`${origin}/slow`, { signal: AbortSignal.timeout(50) }));
    await eventually(async () => {
      const text = await metrics.registry.metrics();
      assert.match(text, /duration_seconds_count\{handler="registry",method="GET",code="200"\} 1/);
      assert.match(text, /duration_seconds_count\{handler="registry",method="GET",code="499"\} 1/);
      assert.match(
        text,
        /response_size_bytes_sum\{handler="registry",method="GET",code="200"\} 1[01]/,
      );
      assert.match(text, /http_requests_inflight\{handler="registry"\} 0/);
    });
    await listener.stop(0);
  });
});
