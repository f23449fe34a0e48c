import type { IncomingMessage, ServerResponse } from 'node:http';

import { Routes } from '../http/routes.ts';
import { sendJson } from '../http/send-json.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Provider } from '../routing/router.ts';
import { Deadline } from '../timing/deadline.ts';

/** One condition of readiness. */
export interface ReadinessCheck {
  readonly ok: boolean;
  /** Why the condition does not hold, or a remark although it does. */
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
  /** Looks the key up in the DHT: the peers that hold it. */
  readonly lookup: (key: string, signal: AbortSignal) => AsyncIterable<Provider>;
}

/**
 * The answers of an {@link AdminHandler}. Its functions are called for each request, because the listener opens before
 * the parts exist that they ask.
 */
export interface AdminHandlerComponents {
  readonly metrics: Metrics;
  readonly readiness: () => Readiness;
  /** Brings gauges up to date before they are read. Default: there are none to update. */
  readonly refresh?: () => void;
  /** Gives the sources of `/debug/`. Default: `undefined`, at which all of `/debug/` is answered with 404. */
  readonly debug?: () => DebugSources | undefined;
}

/** Longest key of a look-up, in characters: the longest name with its tag. */
const MAX_KEY = 384;
/** Look-ups for `/debug/providers` at once; further ones are refused. */
const MAX_LOOKUPS = 4;
/** How long such a look-up may take, in milliseconds. */
const LOOKUP_MS = 1_500;
/** Providers in its answer. */
const MAX_PROVIDERS = 50;

const READ = ['GET', 'HEAD'];

/** Answers a request, and returns the label `handler` that counts it. */
type Endpoint = (res: ServerResponse, query: URLSearchParams) => string | Promise<string>;

/** Answers `/livez`, `/readyz`, `/metrics` and what is below `/debug/` on `--metrics-addr`. */
export class AdminHandler {
  readonly #components: AdminHandlerComponents;
  readonly #routes: Routes<Endpoint>;
  #lookups = 0;

  constructor(components: AdminHandlerComponents) {
    this.#components = components;
    const routes: Record<string, Endpoint> = {
      '/livez': answerLiveness,
      '/readyz': (res) => this.#answerReadiness(res),
      '/metrics': (res) => this.#answerMetrics(res),
      '/debug/status': this.#debugging((res, { status }) => {
        sendJson(res, 200, status());
      }),
      '/debug/peers': this.#debugging((res, { peers }) => {
        sendJson(res, 200, { peers: peers() });
      }),
      '/debug/providers': this.#debugging((res, { lookup }, query) =>
        this.#answerProviders(res, lookup, query.get('key') ?? ''),
      ),
    };
    this.#routes = new Routes(
      Object.entries(routes).map(([pattern, handler]) => ({ methods: READ, pattern, handler })),
    );
  }

  /** Answers one request; never rejects. */
  async handle(req: IncomingMessage, res: ServerResponse): Promise<string> {
    const match = this.#routes.match(req.method, req.url);
    if (match.kind === 'found') return await match.handler(res, match.query);
    if (match.kind !== 'method-not-allowed') return answerNotFound(res);
    res.setHeader('Allow', match.allow);
    sendJson(res, 405, { error: 'only GET and HEAD' });
    return 'admin';
  }

  #answerReadiness(res: ServerResponse): string {
    const readiness = this.#components.readiness();
    sendJson(res, readiness.ready ? 200 : 503, readiness);
    return 'readyz';
  }

  async #answerMetrics(res: ServerResponse): Promise<string> {
    this.#components.refresh?.();
    const { registry } = this.#components.metrics;
    const text = await registry.metrics();
    res.writeHead(200, { 'Content-Type': registry.contentType }).end(text);
    return 'metrics';
  }

  /** An endpoint that is answered with 404 while there are no debug sources. */
  #debugging(
    answer: (
      res: ServerResponse,
      sources: DebugSources,
      query: URLSearchParams,
    ) => void | Promise<void>,
  ): Endpoint {
    return async (res, query) => {
      const sources = this.#components.debug?.();
      if (sources === undefined) return answerNotFound(res);
      await answer(res, sources, query);
      return 'debug';
    };
  }

  async #answerProviders(
    res: ServerResponse,
    lookup: DebugSources['lookup'],
    key: string,
  ): Promise<void> {
    if (key === '' || key.length > MAX_KEY) {
      sendJson(res, 400, { error: 'add ?key=<digest>, or the full name of a tag' });
    } else if (this.#lookups >= MAX_LOOKUPS) {
      sendJson(res, 503, { error: 'too many look-ups at once' });
    } else {
      sendJson(res, 200, { key, peers: await this.#providers(lookup, key) });
    }
  }

  async #providers(lookup: DebugSources['lookup'], key: string): Promise<Provider[]> {
    const found: Provider[] = [];
    this.#lookups += 1;
    try {
      using deadline = new Deadline(LOOKUP_MS);
      for await (const provider of lookup(key, deadline.signal)) {
        found.push(provider);
        if (found.length >= MAX_PROVIDERS) break;
      }
    } finally {
      this.#lookups -= 1;
    }
    return found;
  }
}

function answerLiveness(res: ServerResponse): string {
  sendJson(res, 200, { live: true });
  return 'livez';
}

function answerNotFound(res: ServerResponse): string {
  sendJson(res, 404, { error: 'try /livez, /readyz, /metrics or /debug/status' });
  return 'admin';
}
