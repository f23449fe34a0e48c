import type { Readable } from 'node:stream';

import { Agent, request as send, type Dispatcher } from 'undici';

import { formatRange, rangeLength } from '../oci/byte-range.ts';
import { MANIFEST_ACCEPT } from '../oci/media-type.ts';
import { contentPath, type ContentRequest } from './content-request.ts';
import { firstBytes } from './first-bytes.ts';
import { PeerError, toPeerError } from './peer-error.ts';
import { parseReport, type PeerReport } from './peer-report.ts';
import { checkHead, type PeerHead } from './peer-response.ts';

/** Marks a request of a peer: local answers only, which is what keeps requests from going in circles. */
export const MIRRORED_HEADER = 'x-spegel-mirrored';

/** Largest response head that a peer may send, in bytes. */
const MAX_HEADER_BYTES = 16 * 1024;

/** Bytes of an error's body that are read to keep the connection, rather than close it. */
const MAX_ERROR_BODY_BYTES = 16 * 1024;

/** And for how long, in milliseconds. */
const ERROR_BODY_MS = 1_000;

/** Connections to one peer; more requests than that wait for a free one, and time out like any other. */
const MAX_CONNECTIONS_PER_PEER = 512;

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

/** Speaks HTTP to the mirrors of other nodes over pooled connections. */
export class PeerClient {
  readonly #agent: Agent;
  /** For an answer to begin, where nothing else is said; milliseconds. */
  readonly headTimeout: number;
  readonly #userAgent: string;

  constructor(init: PeerClientInit) {
    this.headTimeout = init.headTimeout ?? 1_000;
    this.#userAgent = init.userAgent;
    this.#agent = new Agent({
      connections: MAX_CONNECTIONS_PER_PEER,
      pipelining: 1,
      connect: { timeout: init.connectTimeout ?? 500 },
      bodyTimeout: init.stallTimeout ?? 5_000,
      headersTimeout: 0, // the timer below covers connecting too
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAliveTimeout: 30_000,
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
      const exchange = send(new URL(contentPath(request), origin), {
        dispatcher: this.#agent,
        method: request.method,
        headers: {
          accept: request.kind === 'manifest' ? MANIFEST_ACCEPT : '*/*',
          'accept-encoding': 'identity',
          'user-agent': this.#userAgent,
          [MIRRORED_HEADER]: 'true',
          ...(range === undefined ? {} : { range: formatRange(range) }),
        },
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
      throw toPeerError(late.signal.aborted ? late.signal.reason : error, 'body');
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends every connection, requests in progress included. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }
}

/** A request that waits for a connection does not look at its signal: this gives it up all the same. */
async function orAborted(
  exchange: Promise<Dispatcher.ResponseData>,
  signal: AbortSignal,
): Promise<Dispatcher.ResponseData> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => {
    exchange.then(
      ({ body }) => body.on('error', () => undefined).destroy(),
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
