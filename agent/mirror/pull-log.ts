import type { Logger } from 'pino';

import { contentKey, type ContentRequest } from '../oci/content-request.ts';

/** How long an image is without requests before its line is written, in milliseconds. */
const IDLE_MS = 3_000;
/** Images that are pulled at the same time. The line of the one that began first is written early beyond it. */
const MAX_PULLS = 256;
/** Sources, reasons and names of a line. */
const MAX_ENTRIES = 16;

/** The reason of a request whose content another request has fetched, and of a HEAD. */
const UNKNOWN = 'unknown';

/** How one request was answered. */
export interface RequestLog {
  /** Base URL of the mirror that the content comes from, or `local`. */
  readonly from: (origin: string) => void;
  /** Bytes of the body that were handed to the client. */
  readonly sent: (bytes: number) => void;
  /** A source does not deliver; the label of `peerglass_fall_throughs_total`, if the source knows it. */
  readonly fellThrough: (reason: string | undefined) => void;
  /** To be called once, when the request has been answered. */
  readonly end: () => void;
}

interface Pull {
  readonly names: Set<string>;
  readonly from: Map<string, number>;
  readonly fallThroughs: Map<string, number>;
  readonly began: number;
  ended: number;
  requests: number;
  bytes: number;
  open: number;
  hasBody: boolean;
  idle: NodeJS.Timeout | undefined;
}

/**
 * Writes a line at info for each image that is pulled through this node, and one at debug for each request. The
 * requests of a repository belong to one image until there are none for {@link IDLE_MS}. Requests of peers have a
 * line at debug only.
 */
export class PullLog {
  readonly #logger: Logger;
  readonly #idleMs: number;
  readonly #pulls = new Map<string, Pull>();

  /** @param idleMs default {@link IDLE_MS} */
  constructor(logger: Logger, idleMs = IDLE_MS) {
    this.#logger = logger;
    this.#idleMs = idleMs;
  }

  begin(request: ContentRequest, fromPeer: boolean): RequestLog {
    const repository = `${request.registry}/${request.repository}`;
    const pull = fromPeer ? undefined : this.#join(repository, request);
    const began = performance.now();
    let origin: string | undefined;
    let reason: string | undefined;
    let bytes = 0;
    return {
      from: (source) => {
        origin = source;
      },
      sent: (count) => {
        bytes += count;
      },
      fellThrough: (why) => {
        reason = why ?? reason ?? UNKNOWN;
      },
      end: () => {
        if (pull !== undefined) this.#leave(repository, pull, { origin, reason, bytes });
        const { method, kind } = request;
        const key = contentKey(request);
        const ms = Math.round(performance.now() - began);
        this.#logger.debug(
          { method, kind, repository, key, fromPeer, from: origin, bytes, ms, reason },
          'request answered',
        );
      },
    };
  }

  #join(repository: string, request: ContentRequest): Pull {
    const pull = this.#pulls.get(repository) ?? this.#add(repository);
    const { kind, method, tag, digest } = request;
    if (kind === 'manifest' && pull.names.size < MAX_ENTRIES) {
      // Further digests are the manifests of the same image.
      if (tag !== undefined) pull.names.add(`${repository}:${tag}`);
      else if (pull.names.size === 0) pull.names.add(`${repository}@${digest ?? ''}`);
    }
    clearTimeout(pull.idle);
    pull.idle = undefined;
    pull.requests += 1;
    pull.open += 1;
    pull.hasBody ||= method === 'GET';
    return pull;
  }

  #add(repository: string): Pull {
    const [oldest] = this.#pulls.size >= MAX_PULLS ? this.#pulls : [];
    if (oldest !== undefined) this.#write(...oldest);
    const now = performance.now();
    const pull: Pull = {
      names: new Set(),
      from: new Map(),
      fallThroughs: new Map(),
      began: now,
      ended: now,
      requests: 0,
      bytes: 0,
      open: 0,
      hasBody: false,
      idle: undefined,
    };
    this.#pulls.set(repository, pull);
    return pull;
  }

  #leave(
    repository: string,
    pull: Pull,
    answer: { readonly origin?: string | undefined; reason?: string | undefined; bytes: number },
  ): void {
    const { origin, reason, bytes } = answer;
    if (origin !== undefined) count(pull.from, origin, bytes);
    if (reason !== undefined) count(pull.fallThroughs, reason, 1);
    pull.bytes += bytes;
    pull.open -= 1;
    pull.ended = performance.now();
    if (pull.open > 0 || this.#pulls.get(repository) !== pull) return;
    pull.idle = setTimeout(() => {
      this.#write(repository, pull);
    }, this.#idleMs).unref();
  }

  #write(repository: string, pull: Pull): void {
    clearTimeout(pull.idle);
    this.#pulls.delete(repository);
    const { names, from, fallThroughs, began, ended, requests, bytes, hasBody } = pull;
    // A kubelet that asks where a tag points pulls nothing.
    this.#logger[hasBody ? 'info' : 'debug'](
      {
        image: names.size === 0 ? repository : [...names].join(', '),
        from: Object.fromEntries(from),
        bytes,
        ms: Math.round(ended - began),
        requests,
        fallThroughs: Object.fromEntries(fallThroughs),
      },
      from.size === 0 ? 'image left to the registry' : 'image pulled through this node',
    );
  }
}

function count(counts: Map<string, number>, name: string, by: number): void {
  const key = counts.has(name) || counts.size < MAX_ENTRIES ? name : 'others';
  counts.set(key, (counts.get(key) ?? 0) + by);
}
