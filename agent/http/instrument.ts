import type { Metrics } from '../metrics/metrics.ts';
import type { LabelValue } from '../metrics/table.ts';
import type { RequestHandler } from './http-listener.ts';
import { ownConnection, protocolOf, streamBytes } from './http2-response.ts';
import { movedBytes } from './moved-bytes.ts';

/** The label `code` of requests whose client left before the answer. nginx uses the same number. */
const CLIENT_LEFT = 499;

/** A {@link RequestHandler} that resolves to the label `handler` under which the request is counted. */
export type LabelledHandler = (
  ...args: Parameters<RequestHandler>
) => Promise<LabelValue<'http_request_duration_seconds', 'handler'>>;

/** Measures the requests of a listener, their time and the bytes of their answers, with Spegel's names and labels. */
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
    // The counter is the socket's, and includes earlier requests of the connection.
    const before = connection?.bytesWritten ?? 0;
    const written = (): number => Math.max(0, (connection?.bytesWritten ?? 0) - before);
    metrics.httpInflight.inc({ handler: listener });
    const closed = new Promise<void>((resolve) => {
      res.once('close', resolve);
    });
    const label = await handler(req, res, signal);
    // The handler may end before all is sent. Time and bytes are known when the response is closed.
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
