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

/** Content that a holder is asked for. */
export interface HolderQuestion {
  readonly kind: 'manifest' | 'blob';
  readonly registry: string;
  readonly repository: string;
  /** A tag or a digest. */
  readonly reference: string;
}

/** What is served below `/debug/`, for people and for `doctor`. */
export interface DebugSources {
  /** The state of the agent in numbers. */
  readonly status: () => Promise<Record<string, unknown>>;
  /** Peers that the node is connected with. */
  readonly peers: () => readonly Provider[];
  /** What this node receives at this moment, from whom and for whom, and what it decides for others. */
  readonly downloads: () => object;
  /** Looks the key up in the DHT: the peers that hold it. */
  readonly lookup: (key: string, signal: AbortSignal) => AsyncIterable<Provider>;
  /** Asks a holder whether it has the content, and describes its answer. Never rejects. */
  readonly ask: (
    holder: Provider,
    question: HolderQuestion,
    signal: AbortSignal,
  ) => Promise<string>;
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
  /** Whether a client may read `/debug/`, by its remote address. Default: each may. */
  readonly mayDebug?: (address: string | undefined) => boolean;
}

/** Longest key of a look-up, in characters: the longest name with its tag. */
const MAX_KEY = 384;
/** Look-ups for `/debug/providers` at once; further ones are refused. */
const MAX_LOOKUPS = 4;
/** How long such a look-up may take, in milliseconds. */
const LOOKUP_MS = 1_500;
/** Providers in its answer. */
const MAX_PROVIDERS = 50;
/** Of these, how many are asked whether they have the content, and how long that may take, in milliseconds. */
const MAX_ASKED = 8;
const ASK_MS = 2_000;
/** The content of a look-up, as `?of=manifest:docker.io/library/nginx:1.27` or `…@sha256:…`. */
const CONTENT = /^(manifest|blob):([^/]+)\/([^@]+?)(?::([^:@/]+)|@([^@]+))$/;

/** The answer to a client that may not read `/debug/`. */
const NOT_FOR_YOU =
  '/debug/ is not served to this address: ask 127.0.0.1 on the host, or in the pod by `kubectl port-forward POD 9090` or `kubectl exec`; --debug-clients admits others';

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
      '/debug/status': this.#debugging(async (res, { status }) => {
        sendJson(res, 200, await status());
      }),
      '/debug/peers': this.#debugging((res, { peers }) => {
        sendJson(res, 200, { peers: peers() });
      }),
      '/debug/downloads': this.#debugging((res, { downloads }) => {
        sendJson(res, 200, downloads());
      }),
      '/debug/providers': this.#debugging((res, sources, query) =>
        this.#answerProviders(res, sources, query),
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

  /** An endpoint that is answered with 404 while there are no debug sources, and to clients that may not read it. */
  #debugging(
    answer: (
      res: ServerResponse,
      sources: DebugSources,
      query: URLSearchParams,
    ) => void | Promise<void>,
  ): Endpoint {
    return async (res, query) => {
      const { debug, mayDebug = () => true } = this.#components;
      const sources = debug?.();
      if (sources === undefined) return answerNotFound(res);
      if (!mayDebug(res.req.socket.remoteAddress)) return answerNotFound(res, NOT_FOR_YOU);
      await answer(res, sources, query);
      return 'debug';
    };
  }

  async #answerProviders(
    res: ServerResponse,
    { lookup, ask }: DebugSources,
    query: URLSearchParams,
  ): Promise<void> {
    const key = query.get('key') ?? '';
    const of = query.get('of');
    const question = of === null ? undefined : questionOf(of);
    if (key === '' || key.length > MAX_KEY) {
      sendJson(res, 400, { error: 'add ?key=<digest>, or the full name of a tag' });
    } else if (of !== null && question === undefined) {
      sendJson(res, 400, { error: 'of is not manifest:NAME or blob:NAME, with the full name' });
    } else if (this.#lookups >= MAX_LOOKUPS) {
      sendJson(res, 503, { error: 'too many look-ups at once' });
    } else {
      this.#lookups += 1;
      try {
        const peers = await this.#providers(lookup, key);
        const asked = question && (await answersOf(peers, ask, question));
        sendJson(res, 200, { key, peers: asked ?? peers });
      } finally {
        this.#lookups -= 1;
      }
    }
  }

  async #providers(lookup: DebugSources['lookup'], key: string): Promise<Provider[]> {
    const found: Provider[] = [];
    using deadline = new Deadline(LOOKUP_MS);
    for await (const provider of lookup(key, deadline.signal)) {
      found.push(provider);
      if (found.length >= MAX_PROVIDERS) break;
    }
    return found;
  }
}

/** The first providers, each with its answer. */
async function answersOf(
  providers: readonly Provider[],
  ask: DebugSources['ask'],
  question: HolderQuestion,
): Promise<(Provider & { readonly answer: string })[]> {
  using deadline = new Deadline(ASK_MS);
  const { signal } = deadline;
  return await Promise.all(
    providers
      .slice(0, MAX_ASKED)
      .map(async (it) => ({ ...it, answer: await ask(it, question, signal) })),
  );
}

function questionOf(text: string): HolderQuestion | undefined {
  if (text.length > MAX_KEY + 'manifest:'.length) return undefined;
  const [, kind, registry = '', repository = '', tag, digest] = CONTENT.exec(text) ?? [];
  if (kind !== 'manifest' && kind !== 'blob') return undefined;
  return { kind, registry, repository, reference: digest ?? tag ?? '' };
}

function answerLiveness(res: ServerResponse): string {
  sendJson(res, 200, { live: true });
  return 'livez';
}

function answerNotFound(
  res: ServerResponse,
  error = 'try /livez, /readyz, /metrics or /debug/status',
): string {
  sendJson(res, 404, { error });
  return 'admin';
}
