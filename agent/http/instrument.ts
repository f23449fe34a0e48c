import type { Metrics } from '../metrics/metrics.ts';
import type { LabelValue } from '../metrics/table.ts';
import type { RequestHandler } from './http-listener.ts';
import { ownConnection, protocolOf, streamBytes } from './http2-response.ts';
import { movedBytes } from './moved-bytes.ts';

/** The code under which requests are counted whose client left before the answer; nginx' number. */
const CLIENT_LEFT = 499;

/** Like a {@link RequestHandler}, and says under which label the request is to be counted. */
export type LabelledHandler = (
  ...args: Parameters<RequestHandler>
) => Promise<LabelValue<'http_request_duration_seconds', 'handler'>>;

/** Counts requests, their time and the bytes of their answers, with Spegel's names and labels. */
export function instrument(
  metrics: Metrics,
  listener: LabelValue<'http_requests_inflight', 'handler'>,
  handler: LabelledHandler,
): RequestHandler {
  return async (req, res, signal) => {
    const start = performance.now();
    const protocol = protocolOf(req);
    metrics.httpRequests.inc({ handler: listener, protocol });
    const connection = ownConnection(res);
    // The counter is the socket's: what it holds from requests before this one is not ours.
    const before = connection?.bytesWritten ?? 0;
    const written = (): number => Math.max(0, (connection?.bytesWritten ?? 0) - before);
    metrics.httpInflight.inc({ handler: listener });
    const closed = new Promise<void>((resolve) => {
      res.once('close', resolve);
    });
    const label = await handler(req, res, signal);
    // Answered is not yet sent: the time and the bytes are known when the response is closed.
    void closed.then(() => {
      const code = res.headersSent ? res.statusCode : CLIENT_LEFT;
      const labels = { handler: label, method: methodLabel(req.method), code };
      metrics.httpDuration.observe(labels, (performance.now() - start) / 1000);
      metrics.httpResponseSize.observe(labels, streamBytes(res) ?? written() + movedBytes(res));
      metrics.httpInflight.dec({ handler: listener });
    });
  };
}

function methodLabel(method: string | undefined): 'GET' | 'HEAD' | 'other' {
  return method === 'GET' || method === 'HEAD' ? method : 'other';
}
