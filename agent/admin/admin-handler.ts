import type { IncomingMessage, ServerResponse } from 'node:http';

import { sendJson } from '../http/send-json.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Provider } from '../routing/router.ts';
import { Deadline } from '../timing/deadline.ts';

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

/** What is served below `/debug/`, for people and for `doctor`. */
export interface DebugSources {
  /** The state of the agent in numbers. */
  readonly status: () => Record<string, unknown>;
  /** Peers that the node is connected with. */
  readonly peers: () => readonly Provider[];
  /** Asks the directory who holds the key. */
  readonly lookup: (key: string, signal: AbortSignal) => AsyncIterable<Provider>;
}

/** What an {@link AdminHandler} tells. */
export interface AdminHandlerComponents {
  readonly metrics: Metrics;
  readonly readiness: () => Readiness;
  /** Brings gauges up to date before they are read. */
  readonly refresh?: () => void;
  /** Absent to leave all of `/debug/` out. */
  readonly debug?: DebugSources;
}

/** Longest key that is looked up, in characters: the longest name with its tag. */
const MAX_KEY = 384;
/** Look-ups at once for `/debug/providers`; further ones are refused. */
const MAX_LOOKUPS = 4;
/** How long such a look-up may take, in milliseconds. */
const LOOKUP_MS = 1_500;
/** Providers that it names. */
const MAX_PROVIDERS = 50;

/** Answers `/livez`, `/readyz`, `/metrics` and what is below `/debug/` on `--metrics-addr`. */
export class AdminHandler {
  readonly #components: AdminHandlerComponents;
  #lookups = 0;

  constructor(components: AdminHandlerComponents) {
    this.#components = components;
  }

  /** Answers one request; never rejects. */
  async handle(req: IncomingMessage, res: ServerResponse): Promise<string> {
    const [path = '', query = ''] = (req.url ?? '').split('?', 2);
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
    }
    const { debug } = this.#components;
    if (debug !== undefined && path.startsWith('/debug/')) {
      if (await this.#debug(debug, path, query, res)) return 'debug';
    }
    sendJson(res, 404, { error: 'try /livez, /readyz, /metrics or /debug/status' });
    return 'admin';
  }

  async #debug(
    sources: DebugSources,
    path: string,
    query: string,
    res: ServerResponse,
  ): Promise<boolean> {
    switch (path) {
      case '/debug/status':
        sendJson(res, 200, sources.status());
        return true;
      case '/debug/peers':
        sendJson(res, 200, { peers: sources.peers() });
        return true;
      case '/debug/providers': {
        const key = new URLSearchParams(query).get('key') ?? '';
        if (key === '' || key.length > MAX_KEY) {
          sendJson(res, 400, { error: 'add ?key=<digest>, or the full name of a tag' });
        } else if (this.#lookups >= MAX_LOOKUPS) {
          sendJson(res, 503, { error: 'too many look-ups at once' });
        } else {
          sendJson(res, 200, { key, peers: await this.#providers(sources, key) });
        }
        return true;
      }
    }
    return false;
  }

  async #providers(sources: DebugSources, key: string): Promise<Provider[]> {
    const found: Provider[] = [];
    this.#lookups += 1;
    try {
      using deadline = new Deadline(LOOKUP_MS);
      for await (const provider of sources.lookup(key, deadline.signal)) {
        found.push(provider);
        if (found.length >= MAX_PROVIDERS) break;
      }
    } finally {
      this.#lookups -= 1;
    }
    return found;
  }
}
