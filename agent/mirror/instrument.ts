import type { Metrics } from '../metrics/metrics.ts';
import type { RequestHandler } from './http-listener.ts';

/** Like a {@link RequestHandler}, and says under which label the request is to be counted. */
export type LabelledHandler = (...args: Parameters<RequestHandler>) => Promise<string>;

/** Counts requests, their time and the bytes of their answers, with Spegel's names and labels. */
export function instrument(
  metrics: Metrics,
  listener: string,
  handler: LabelledHandler,
): RequestHandler {
  return async (req, res, signal) => {
    const start = performance.now();
    // The counter is the socket's: what it holds from requests before this one is not ours.
    const before = res.socket?.bytesWritten ?? 0;
    const { socket } = res;
    metrics.httpInflight.inc({ handler: listener });
    try {
      const label = await handler(req, res, signal);
      const labels = { handler: label, method: methodLabel(req.method), code: res.statusCode };
      metrics.httpDuration.observe(labels, (performance.now() - start) / 1000);
      metrics.httpResponseSize.observe(labels, (socket?.bytesWritten ?? before) - before);
    } finally {
      metrics.httpInflight.dec({ handler: listener });
    }
  };
}

function methodLabel(method: string | undefined): string {
  return method === 'GET' || method === 'HEAD' ? method : 'other';
}
