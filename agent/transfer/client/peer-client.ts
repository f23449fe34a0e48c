import type { Readable } from 'node:stream';

import { errors } from 'undici';
import type { IncomingHttpHeaders } from 'undici/types/header.js';

import type { DataPlane } from '../../native/data-plane.ts';
import type { Kernel } from '../../native/kernel.ts';
import { formatRange, rangeLength } from '../../oci/byte-range.ts';
import { MANIFEST_ACCEPT } from '../../oci/media-type.ts';
import { contentPath, type ContentRequest } from '../../oci/content-request.ts';
import { DirectBody } from './direct/direct-body.ts';
import { DirectClient } from './direct/direct-client.ts';
import type { FieldReader } from '../../signatures/message-signature.ts';
import type { RequestSigner } from '../../signatures/request-signer.ts';
import { firstBytes } from '../../streams/first-bytes.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import type { Silence, SilenceInit } from '../../timing/silence.ts';
import { PeerAgents, type PeerTls } from './peer-agents.ts';
import { PeerError, toPeerError } from './peer-error.ts';
import { parseReport, type PeerReport } from './peer-report.ts';
import { checkHead, type PeerHead } from './peer-response.ts';
import { TimedBody } from './timed-body.ts';
import { destroyQuietly } from '../../streams/destroy-quietly.ts';

/** Marks the request of a peer. It gets local content only, so that requests never loop. */
export const MIRRORED_HEADER = 'x-spegel-mirrored';

/**
 * Marks, with the value `1`, the request of a peer that also takes content which is still arriving and unverified. It is
 * answered 404 when the peer has to ask for another one to follow.
 */
export const FOLLOW_HEADER = 'peerglass-follow';

/** Bytes of an error body that are read so that the connection can be used again. */
const MAX_ERROR_BODY_BYTES = 16 * 1024;

/** Time for reading them, in milliseconds. */
const ERROR_BODY_MS = 1_000;

/** Where a peer is asked, and who must answer there. */
export interface PeerAddress {
  /** Base URL of the peer's mirror. */
  readonly origin: string;
  readonly peerId: string;
}

/** Options of a {@link PeerClient}. Times are in milliseconds. */
export interface PeerClientInit {
  /** Time to connect. Default 500. */
  readonly connectTimeout?: number;
  /** Time from the request to the first byte of the body, connecting included. Default 1000. */
  readonly headTimeout?: number;
  /** Longest time between two chunks of a body while we wait for the next. Default 5000. */
  readonly stallTimeout?: number;
  /**
   * The same until the first byte, where the answer begins with its head ({@link PeerClientInit.follows}). Default: as later.
   */
  readonly firstByteTimeout?: number;
  /** The `User-Agent` header. */
  readonly userAgent: string;
  /** Lets blobs arrive over connections whose bytes the kernel can move. Default: all go through the process. */
  readonly dataPlane?: Pick<DataPlane, 'kernel'>;
  /** How certificates of peers are checked. Default: they are not. */
  readonly tls?: PeerTls;
  /** Signs requests, and checks who answers. Default: every answer is believed. */
  readonly signer?: Pick<RequestSigner, 'sign' | 'isOpen'>;
  /**
   * Finds out whether a peer is where it is to be asked, before the request: see `PeerPlaces.confirm`. Default: it is.
   */
  readonly confirm?: (peerId: string, origin: string) => Promise<void> | undefined;
  /**
   * Whether it asks for content that peers are still receiving ({@link FOLLOW_HEADER}). The answer then begins with its
   * head, because the first byte may be long in coming. Default: no.
   */
  readonly follows?: boolean;
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
  /** How long the peer may be silent, where that depends on what is known of it ({@link PeerClientInit.follows}). */
  readonly silence?: Silence | undefined;
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
  readonly #signer: PeerClientInit['signer'];
  readonly #confirm: PeerClientInit['confirm'];
  readonly #follows: boolean;
  readonly #silence: SilenceInit;

  constructor(init: PeerClientInit) {
    this.headTimeout = init.headTimeout ?? 1_000;
    this.#userAgent = init.userAgent;
    this.#dataPlane = init.dataPlane;
    this.#signer = init.signer;
    this.#confirm = init.confirm;
    this.#follows = init.follows ?? false;
    const { connectTimeout = 500, stallTimeout = 5_000 } = init;
    const { firstByteTimeout = stallTimeout } = init;
    this.#silence = { stallTimeout, firstByteTimeout, isAdaptive: this.#follows };
    this.#direct = new DirectClient({ connectTimeout, ...this.#silence });
    this.#agents = new PeerAgents({
      connectTimeout,
      // A body that follows is timed by us: the bound of undici is the same before the first byte and later.
      stallTimeout: this.#follows ? 0 : stallTimeout,
      ...(init.tls && { tls: init.tls }),
    });
  }

  /**
   * Sends a request to one peer.
   *
   * It neither follows redirects nor answers challenges: both would let a peer choose the servers that this node
   * connects to.
   *
   * @param headTimeout milliseconds; `undefined` for the default of this client
   * @throws PeerError for every failure; the signal's reason when that is aborted
   */
  async fetch(
    to: PeerAddress,
    request: ContentRequest,
    headTimeout: number | undefined,
    signal: AbortSignal,
  ): Promise<PeerResponse> {
    const within = headTimeout ?? this.headTimeout;
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new PeerError('timeout', `no answer in ${within} ms`));
    }, within);
    const given = AbortSignal.any([signal, late.signal]);
    try {
      const proof = this.#confirm?.(to.peerId, to.origin);
      if (proof !== undefined) await raceSignal(proof, given);
      const first = await this.#exchange(to, request, given);
      if (first !== 'other-clock') return first;
      const second = await this.#exchange(to, request, given);
      if (second !== 'other-clock') return second;
      throw new PeerError('identity', 'peer refuses the time that it has stated itself');
    } catch (error) {
      signal.throwIfAborted();
      const reason: unknown = late.signal.aborted ? late.signal.reason : error;
      throw toPeerError(reason, isRefusedByTls(to.origin, error) ? 'tls' : 'body');
    } finally {
      clearTimeout(timer);
    }
  }

  /** @returns `other-clock` when the answer has the time of the peer, which is then asked again */
  async #exchange(
    { origin, peerId }: PeerAddress,
    request: ContentRequest,
    given: AbortSignal,
  ): Promise<PeerResponse | 'other-clock'> {
    const asked = request.method === 'GET' ? request.range : undefined;
    const range = asked && formatRange(asked);
    const url = new URL(contentPath(request), origin);
    const { method } = request;
    const target = url.pathname + url.search;
    const signature = this.#signer?.sign(peerId, { method, target, range });
    if (this.#signer?.isOpen === false && signature === undefined) {
      throw new PeerError('identity', 'not the peer ID of an ed25519 key');
    }
    const fields = {
      accept: request.kind === 'manifest' ? MANIFEST_ACCEPT : '*/*',
      'accept-encoding': 'identity',
      'user-agent': this.#userAgent,
      [MIRRORED_HEADER]: 'true',
      ...(this.#follows && { [FOLLOW_HEADER]: '1' }),
      ...(range !== undefined && { range }),
      ...signature?.fields,
    };
    const exchange: Promise<Answer> = this.#isDirect(request, url)
      ? this.#direct.get(url, fields, given)
      : this.#agents.for(url, peerId, request.kind === 'blob' && method === 'GET').request({
          origin: url.origin,
          path: target,
          method,
          headers: fields,
          signal: given,
          reset: false, // or undici closes the connection after every HEAD
        });
    const { statusCode, headers, body } = await untilAborted(exchange, given);
    // When a body is destroyed, undici emits an error on it. Without a listener that would end the process.
    body.on('error', () => undefined);
    // What an answer says counts only once it is known who gave it.
    const proof = signature?.check(statusCode, fieldReader(headers)) ?? 'open';
    try {
      if (proof === 'unproven') {
        throw new PeerError('identity', 'the answer is not of the peer that was asked');
      }
      if (proof !== 'other-clock') {
        const head = checkHead(request, asked, statusCode, headers);
        if (method === 'HEAD') body.resume();
        else if (rangeLength(head.range) > 0 && !this.#follows) await firstBytes(body, given);
        const answer = { ...head, origin, report: parseReport(headers) };
        if (!this.#follows || method !== 'GET') return { ...answer, body };
        const timed = body instanceof DirectBody ? body : new TimedBody(body, this.#silence);
        return { ...answer, body: timed, silence: timed.silence };
      }
    } catch (error) {
      dump(body);
      const isProven = error instanceof PeerError && error.reason !== 'identity';
      if (isProven) error.report = parseReport(headers);
      throw error;
    }
    dump(body);
    return proof;
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

/** Reads the rest of an answer that is not used, if it is short, so that its connection can be used again. */
function dump(body: Answer['body']): void {
  const within = AbortSignal.timeout(ERROR_BODY_MS);
  void body.dump({ limit: MAX_ERROR_BODY_BYTES, signal: within }).catch(() => undefined);
}

/** A field that is repeated counts as absent. */
function fieldReader(headers: IncomingHttpHeaders): FieldReader {
  return (name) => {
    const value = headers[name];
    return typeof value === 'string' ? value : undefined;
  };
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
