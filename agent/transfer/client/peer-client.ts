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
import { raceSignal } from '../../timing/race-signal.ts';
import { PeerAgents, type PeerTls } from './peer-agents.ts';
import { PeerError, toPeerError } from './peer-error.ts';
import { parseReport, type PeerReport } from './peer-report.ts';
import { checkHead, type PeerHead } from './peer-response.ts';
import { destroyQuietly } from '../../streams/destroy-quietly.ts';

/** Marks the request of a peer. It gets local content only, so that requests never loop. */
export const MIRRORED_HEADER = 'x-spegel-mirrored';

/** Bytes of an error body that are read so that the connection can be used again. */
const MAX_ERROR_BODY_BYTES = 16 * 1024;

/** Time for reading them, in milliseconds. */
const ERROR_BODY_MS = 1_000;

/** Options of a {@link PeerClient}. Times are in milliseconds. */
export interface PeerClientInit {
  /** Time to connect. Default 500. */
  readonly connectTimeout?: number;
  /** Time from the request to the first byte of the body, connecting included. Default 1000. */
  readonly headTimeout?: number;
  /** Longest time between two chunks of a body while we wait for the next. Default 5000. */
  readonly stallTimeout?: number;
  /** The `User-Agent` header. */
  readonly userAgent: string;
  /** Lets blobs arrive over connections whose bytes the kernel can move. Default: all go through the process. */
  readonly dataPlane?: Pick<DataPlane, 'kernel'>;
  /** How certificates of peers are checked. Default: they are not. */
  readonly tls?: PeerTls;
}

/**
 * An answer whose head has been checked and whose body has begun to arrive. The body of a GET is unread. The caller
 * reads or destroys it.
 */
export interface PeerResponse extends PeerHead {
  readonly origin: string;
  /** The state of the peer, from the headers. */
  readonly report: PeerReport;
  readonly body: Readable;
}

/** The common part of the answers of undici and of {@link DirectClient}. */
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
  /** Default time for an answer to begin, in milliseconds. */
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
   * Sends a request to one peer.
   *
   * It neither follows redirects nor answers challenges: both would let a peer choose the servers that this node
   * connects to.
   *
   * @param origin base URL of the peer's mirror
   * @param headTimeout milliseconds; `undefined` for the default of this client
   * @throws PeerError for every failure; the signal's reason when that is aborted
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
      const { statusCode, headers, body } = await untilAborted(exchange, given);
      // When a body is destroyed, undici emits an error on it. Without a listener that would end the process.
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

  /** The kernel that can move bodies of blobs. It is loaded at the first call. */
  get kernel(): Kernel | undefined {
    return this.#dataPlane?.kernel();
  }

  #isDirect({ kind, method }: ContentRequest, url: URL): boolean {
    if (kind !== 'blob' || method !== 'GET' || url.protocol !== 'http:') return false;
    return this.kernel !== undefined && this.#direct.hasCapacity(url.origin);
  }

  /** Ends every connection, requests in progress included. */
  async close(): Promise<void> {
    this.#direct.close();
    await this.#agents.close();
  }
}

/** Gives up the exchange at once when the signal is aborted. undici does not while a request waits for a connection. */
async function untilAborted(exchange: Promise<Answer>, signal: AbortSignal): Promise<Answer> {
  try {
    return await raceSignal(exchange, signal);
  } catch (error) {
    const late = ({ body }: Answer): void => {
      destroyQuietly(body);
    };
    exchange.then(late, () => undefined);
    throw error;
  }
}

/** Whether the peer closed a TLS connection before it had sent a byte. */
function isRefusedByTls(origin: string, error: unknown): boolean {
  if (!origin.startsWith('https:') || !(error instanceof errors.SocketError)) return false;
  return error.socket?.bytesRead === 0;
}
