import { Agent, get } from 'node:https';

import type { Logger } from 'pino';

import { codeOf, hasCode } from '../errors/system-error.ts';
import { BoundedMap } from '../timing/bounded-map.ts';
import { Deadline } from '../timing/deadline.ts';

/** How long a registry may take to answer, in milliseconds. */
const TIMEOUT_MS = 2_000;
/** How long a result holds, in milliseconds from the beginning of its probe. It is longer than a probe. */
const KEEP_MS = 10_000;
/** Registries with a result or a probe under way. Further ones count as answering. */
const MAX_REGISTRIES = 64;
/** Where the API of Docker Hub is, which image names call `docker.io`. */
const DOCKER_HUB = { registry: 'docker.io', host: 'registry-1.docker.io' } as const;

/** What shows that no registry answers, from the node or from the proxy that it uses. */
const AWAY = [
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'ABORT_ERR'],
  ...['EHOSTUNREACH', 'EHOSTDOWN', 'ENETUNREACH', 'ENETDOWN', 'ENOTFOUND', 'EAI_AGAIN'],
] as const;
/** Answers of a proxy that does not reach the registry either. */
const AWAY_FROM_PROXY: readonly unknown[] = [502, 503, 504];

/** First version of Node.js whose agents know the proxies of the environment. */
const KNOWS_PROXIES = { major: 24, minor: 5 } as const;

/** Components of {@link RegistryProbe}. */
export interface RegistryProbeComponents {
  readonly logger: Logger;
  /** With `HTTPS_PROXY` and `NO_PROXY`. Default: that of the process. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Version of Node.js. Default: that of the process. */
  readonly nodeVersion?: string;
  /** Milliseconds on a clock that never jumps. Default: `performance.now`. */
  readonly now?: () => number;
}

/** Options of {@link RegistryProbe}. */
export interface RegistryProbeInit {
  /** Default {@link TIMEOUT_MS}. */
  readonly timeoutMs?: number;
  /** Default {@link MAX_REGISTRIES}. */
  readonly maxRegistries?: number;
}

interface Probe {
  readonly begunAt: number;
  readonly answers: Promise<boolean>;
}

/**
 * Finds out whether a registry answers at all, by `GET /v2/` (OCI distribution specification, end-1) without
 * credentials. Any answer counts, also 401 and 500, and an answer that is not HTTPS: then containerd can ask the registry
 * itself. Everything that is not known to be an outage counts as an answer as well.
 *
 * Its certificate is not verified. Nothing is sent to the registry or taken from it. A host that poses as the registry
 * can only make it seem present, and then its own certificate is what containerd refuses.
 *
 * A registry has one probe at a time, whose result holds for a while. With a proxy in the environment and a version of
 * Node.js that does not know it, no registry is probed, and all of them count as answering.
 */
export class RegistryProbe {
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #timeoutMs: number;
  readonly #maxRegistries: number;
  readonly #canProbe: boolean;
  readonly #agent: Agent;
  readonly #probes = new Map<string, Probe>();
  /** Why those do not answer that were away last, so that an outage has one line in the log. */
  readonly #away: BoundedMap<string, string>;

  constructor(components: RegistryProbeComponents, init: RegistryProbeInit = {}) {
    const { environment = process.env, nodeVersion = process.versions.node } = components;
    this.#logger = components.logger;
    this.#now = components.now ?? (() => performance.now());
    this.#timeoutMs = init.timeoutMs ?? TIMEOUT_MS;
    this.#maxRegistries = init.maxRegistries ?? MAX_REGISTRIES;
    this.#away = new BoundedMap(this.#maxRegistries);
    this.#canProbe = knowsProxies(nodeVersion) || !hasProxy(environment);
    this.#agent = new Agent({ keepAlive: false, proxyEnv: { ...environment } });
  }

  /**
   * Whether the registry answers. Never rejects.
   *
   * @param registry as in image names, with a port if it has one
   */
  async answers(registry: string): Promise<boolean> {
    const now = this.#now();
    for (const [name, { begunAt }] of this.#probes) {
      if (now - begunAt >= KEEP_MS) this.#probes.delete(name);
    }
    const known = this.#probes.get(registry);
    if (known !== undefined) return await known.answers;
    if (!this.#canProbe || this.#probes.size >= this.#maxRegistries) return true;
    const answers = this.#probe(registry);
    this.#probes.set(registry, { begunAt: now, answers });
    return await answers;
  }

  async #probe(registry: string): Promise<boolean> {
    const reason = await this.#ask(registry);
    const wasAway = this.#away.delete(registry);
    if (reason === undefined) {
      if (wasAway) this.#logger.info({ registry }, 'registry answers again');
      return true;
    }
    this.#away.set(registry, reason);
    if (!wasAway) {
      this.#logger.warn(
        { registry, reason },
        'registry does not answer: its images are started from this node without credentials (--authorized-outage=local)',
      );
    }
    return false;
  }

  /** Why the registry does not answer; undefined when it does. */
  async #ask(registry: string): Promise<string | undefined> {
    const host = registry === DOCKER_HUB.registry ? DOCKER_HUB.host : registry;
    using deadline = new Deadline(this.#timeoutMs);
    const answered = Promise.withResolvers<undefined>();
    const { signal } = deadline;
    const options = { agent: this.#agent, rejectUnauthorized: false, signal } as const;
    try {
      get(`https://${host}/v2/`, options, (response) => {
        response.destroy();
        answered.resolve(undefined);
      }).on('error', answered.reject);
      await answered.promise;
      return undefined;
    } catch (error) {
      return isAway(error) ? (codeOf(error) ?? 'unknown') : undefined;
    }
  }
}

function isAway(error: unknown): boolean {
  if (hasCode(error, ...AWAY)) return true;
  if (!hasCode(error, 'ERR_PROXY_TUNNEL') || !(error instanceof Error)) return false;
  return 'statusCode' in error && AWAY_FROM_PROXY.includes(error.statusCode);
}

/** Whether requests to registries go through a proxy: an agent that does not know it would never reach one. */
function hasProxy(environment: Readonly<Record<string, string | undefined>>): boolean {
  return Boolean(environment['HTTPS_PROXY'] ?? environment['https_proxy']);
}

function knowsProxies(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major !== KNOWS_PROXIES.major) return major > KNOWS_PROXIES.major;
  return minor >= KNOWS_PROXIES.minor;
}
