import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Metrics } from '../metrics/metrics.ts';

/** One thing that has to be in order for the node to be ready. */
export interface ReadinessCheck {
  readonly ok: boolean;
  /** Why not, or what is worth knowing although it is. */
  readonly reason?: string;
}

/** The answer of `/readyz`. */
export interface Readiness {
  readonly ready: boolean;
  readonly checks: Readonly<Record<string, ReadinessCheck>>;
}

/** What an {@link AdminHandler} tells. */
export interface AdminHandlerComponents {
  readonly metrics: Metrics;
  readonly readiness: () => Readiness;
  /** Brings gauges up to date before they are read. */
  readonly refresh?: () => void;
  /** The state of the agent in numbers, for people; absent to leave `/debug/status` out. */
  readonly status?: () => Record<string, unknown>;
}

/** Answers `/livez`, `/readyz`, `/metrics` and `/debug/status` on `--metrics-addr`. */
export class AdminHandler {
  readonly #components: AdminHandlerComponents;

  constructor(components: AdminHandlerComponents) {
    this.#components = components;
  }

  /** Answers one request; never rejects. */
  async handle(req: IncomingMessage, res: ServerResponse): Promise<string> {
    const [path = ''] = (req.url ?? '').split('?');
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.setHeader('Allow', 'GET, HEAD');
      sendJson(res, 405, { error: 'only GET and HEAD' });
      return 'admin';
    }
    switch (path) {
      case '/livez':
        sendJson(res, 200, { live: true });
        return 'livez';
      case '/readyz': {
        const readiness = this.#components.readiness();
        sendJson(res, readiness.ready ? 200 : 503, readiness);
        return 'readyz';
      }
      case '/metrics': {
        this.#components.refresh?.();
        const { registry } = this.#components.metrics;
        const text = await registry.metrics();
        res.writeHead(200, { 'Content-Type': registry.contentType }).end(text);
        return 'metrics';
      }
      case '/debug/status':
        if (this.#components.status === undefined) break;
        sendJson(res, 200, this.#components.status());
        return 'debug';
    }
    sendJson(res, 404, { error: 'try /livez, /readyz, /metrics or /debug/status' });
    return 'admin';
  }
}

/** Answers with JSON. */
export function sendJson(res: ServerResponse, status: number, value: unknown): void {
  const body = `${JSON.stringify(value)}\n`;
  res.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(body),
  });
  res.end(body);
}
