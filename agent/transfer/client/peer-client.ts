import type { Readable } from 'node:stream';

import { errors } from 'undici';
import type { IncomingHttpHeaders } from 'undici/types/header.js';

import type { DataPlane } from '../../native/data-plane.ts';
import type { Kernel } from '../../native/kernel.ts';
import { formatRange, rangeLength } from '../../oci/byte-range.ts';
import { MANIFEST_ACCEPT } from '../../oci/media-type.ts';
import { contentPath, type ContentRequest } from '../../oci/content-request.ts';
import { DirectClient } from './direct/direct-client.ts';
import { firstBytes } from '../../streams/first-bytes.ts';
import { PeerAgents, type PeerTls } from './peer-agents.ts';
import { PeerError, toPeerError } from './peer-error.ts';
import { parseReport, type PeerReport } from './peer-report.ts';
import { checkHead, type PeerHead } from './peer-response.ts';
import { destroyQuietly } from '../../streams/destroy-quietly.ts';

/** Marks a request of a peer: local answers only, which is what keeps requests from going in circles. */
export const MIRRORED_HEADER = 'x-spegel-mirrored';

/** Bytes of an error's body that are read to keep the connection, rather than close it. */
const MAX_ERROR_BODY_BYTES = 16 * 1024;

/** And for how long, in milliseconds. */
const ERROR_BODY_MS = 1_000;

/** Bounds on what a peer may take, in milliseconds. */
export interface PeerClientInit {
  /** Until the connection stands. Default 500. */
  readonly connectTimeout?: number;
  /** From sending the request to the first byte of the body, connecting included. Default 1000. */
  readonly headTimeout?: number;
  /** Between two pieces of a body while we are ready to take more. Default 5000. */
  readonly stallTimeout?: number;
  /** `User-Agent` to send. */
  readonly userAgent: string;
  /** With it, blobs come over connections whose bytes the kernel can move. Default: none do. */
  readonly dataPlane?: Pick<DataPlane, 'kernel'>;
  /** How certificates of peers are checked. Default: they are not, as nothing is that a peer says by http. */
  readonly tls?: PeerTls;
}

/**
 * An answer whose head has been checked and whose body has begun to arrive. The body of a GET is unread and must
 * be consumed or destroyed.
 */
export interface PeerResponse extends PeerHead {
  readonly origin: string;
  /** What the peer says of itself. */
  readonly report: PeerReport;
  readonly body: Readable;
}

/** An answer of either client. */
interface Answer {
  readonly statusCode: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Readable & {
    dump(options: { readonly limit: number; readonly signal: AbortSignal }): Promise<void>;
  };
}

/** Speaks HTTP to the mirrors of other nodes over pooled connections. */
export class PeerClient {
  readonly #agents: PeerAgents;
  readonly #direct: DirectClient;
  readonly #dataPlane: Pick<DataPlane, 'kernel'> | undefined;
  /** For an answer to begin, where nothing else is said; milliseconds. */
  readonly headTimeout: number;
  readonly #userAgent: string;

  constructor(init: PeerClientInit) {
    this.headTimeout = init.headTimeout ?? 1_000;
    this.#userAgent = init.userAgent;
    this.#dataPlane = init.dataPlane;
    const { connectTimeout = 500, stallTimeout = 5_000 } = init;
    this.#direct = new DirectClient({ connectTimeout, stallTimeout });
    this.#agents = new PeerAgents({
      connectTimeout,
      stallTimeout,
      ...(init.tls && { tls: init.tls }),
    });
  }

  /**
   * Asks one peer.
   *
   * Redirects are not followed and challenges not answered: either would let a peer choose whom this node
   * talks to.
   *
   * @param origin base URL of the peer's mirror
   * @param headTimeout in place of the one that all requests have, in milliseconds
   * @throws PeerError for everything that goes wrong; the signal's reason when that is aborted
   */
  async fetch(
    origin: string,
    request: ContentRequest,
    headTimeout: number | undefined,
    signal: AbortSignal,
  ): Promise<PeerResponse> {
    const range = request.method === 'GET' ? request.range : undefined;
    const within = headTimeout ?? this.headTimeout;
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new PeerError('timeout', `no answer in ${within} ms`));
    }, within);
    const given = AbortSignal.any([signal, late.signal]);
    try {
      const url = new URL(contentPath(request), origin);
      const fields = {
        accept: request.kind === 'manifest' ? MANIFEST_ACCEPT : '*/*',
        'accept-encoding': 'identity',
        'user-agent': this.#userAgent,
        [MIRRORED_HEADER]: 'true',
        ...(range === undefined ? {} : { range: formatRange(range) }),
      };
      const exchange: Promise<Answer> = this.#isDirect(request, url)
        ? this.#direct.get(url, fields, given)
        : this.#agents.for(url, request.kind === 'blob' && request.method === 'GET').request({
            origin: url.origin,
            path: url.pathname + url.search,
            method: request.method,
            headers: fields,
            signal: given,
            reset: false, // or undici closes the connection after every HEAD
          });
      const { statusCode, headers, body } = await orAborted(exchange, given);
      // Whoever gives up a body destroys it, and undici then has it fail: unheard, that would end the process.
      body.on('error', () => undefined);
      try {
        const head = checkHead(request, range, statusCode, headers);
        if (request.method === 'HEAD') body.resume();
        else if (rangeLength(head.range) > 0) await firstBytes(body, given);
        return { ...head, origin, report: parseReport(headers), body };
      } catch (error) {
        const within = AbortSignal.timeout(ERROR_BODY_MS);
        void body.dump({ limit: MAX_ERROR_BODY_BYTES, signal: within }).catch(() => undefined);
        if (error instanceof PeerError) error.report = parseReport(headers);
        throw error;
      }
    } catch (error) {
      signal.throwIfAborted();
      const reason: unknown = late.signal.aborted ? late.signal.reason : error;
      throw toPeerError(reason, isRefusedByTls(origin, error) ? 'tls' : 'body');
    } finally {
      clearTimeout(timer);
    }
  }

  /** What can move bodies of blobs; loaded by the first of them. */
  get kernel(): Kernel | undefined {
    return this.#dataPlane?.kernel();
  }

  #isDirect({ kind, method }: ContentRequest, url: URL): boolean {
    if (kind !== 'blob' || method !== 'GET' || url.protocol !== 'http:') return false;
    return this.kernel !== undefined && this.#direct.hasRoom(url.origin);
  }

  /** Ends every connection, requests in progress included. */
  async close(): Promise<void> {
    this.#direct.close();
    await this.#agents.close();
  }
}

/** A request that waits for a connection does not look at its signal: this gives it up all the same. */
async function orAborted(exchange: Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => {
    exchange.then(
      ({ body }) => {
        destroyQuietly(body);
      },
      () => undefined,
    );
    aborted.reject(signal.reason as Error);
  };
  signal.addEventListener('abort', onAbort);
  try {
    signal.throwIfAborted();
    return await Promise.race([exchange, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Whether the peer ended a connection by TLS before it had sent one byte over it. */
function isRefusedByTls(origin: string, error: unknown): boolean {
  if (!origin.startsWith('https:') || !(error instanceof errors.SocketError)) return false;
  return error.socket?.bytesRead === 0;
}
