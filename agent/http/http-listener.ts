import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

import { hasCode } from '../errors/system-error.ts';
import { OciError } from '../oci/errors.ts';
import { admitOnly } from './admission.ts';
import { bind, type ListenAddress } from './bind.ts';
import { HALF_CLOSED_MS, serveHalfClosed } from './half-close.ts';
import { asHttp1, isSent } from './http2-response.ts';
import { Http2Sessions } from './http2-sessions.ts';
import { rawError, writeError } from './error-answer.ts';
import { LocalClients } from './local-clients.ts';
import { OpenConnections, type OpenConnectionsInit } from './open-connections.ts';
import { Pipeline } from './pipeline.ts';
import {
  MAX_HEADER_BYTES,
  headTooLarge,
  isHandshake,
  isTooLarge,
  malformed,
  refuseFloods,
} from './request-head.ts';
import { createTlsServer, type ListenerTls } from './tls-server.ts';

/** Connections at once to one listener: of other nodes, and of clients on this node. */
const MAX_CONNECTIONS = { max: 3_072, maxLocal: 1_024 };

/** Connections at once from one address, so that a single host cannot take them all. A peer opens at most 512. */
const MAX_CONNECTIONS_PER_ADDRESS = 1_024;

/** Until a request head must be complete, in milliseconds. Then the connection is closed. */
const HEAD_TIMEOUT_MS = 10_000;

/** Between two checks for late heads, in milliseconds. */
const HEAD_CHECK_MS = 1_000;

/** Until a connection on which no bytes move is closed, in milliseconds. */
const IDLE_TIMEOUT_MS = 300_000;

/** Until an idle connection is closed, in milliseconds. Longer than clients keep theirs, so that the client closes. */
const KEEP_ALIVE_MS = 120_000;

/** Answers one request; must not reject. The signal is aborted when the client leaves before the end of the answer. */
export type RequestHandler = (
  req: IncomingMessage,
  res: ServerResponse,
  signal: AbortSignal,
) => Promise<void>;

/** Bounds of a listener. */
export interface HttpListenerInit {
  /** Until a request is complete, in milliseconds. Default 10,000. */
  readonly headTimeout?: number;
  /** Connections at once from one address, and as many requests by HTTP/2; see {@link OpenConnections}. Default 1,024. */
  readonly connectionsPerAddress?: number;
  /** Connections at once. Default: 3,072, and 1,024 more of clients on this node. */
  readonly connections?: Pick<OpenConnectionsInit, 'max' | 'maxLocal'>;
  /** Whether a client is on this node. Default: see {@link LocalClients}. */
  readonly isLocal?: (address: string | undefined) => boolean;
  /** Whether a connection is accepted at all; otherwise it is closed at once. Default: each is. */
  readonly admits?: (socket: Socket) => boolean;
  /** See {@link HALF_CLOSED_MS}, which is the default. */
  readonly halfClosedTimeout?: number;
  /** Speaks TLS, and HTTP/2 with clients that support it. Default: plain HTTP/1.1. */
  readonly tls?: ListenerTls;
  /** Called for each client that speaks TLS to a listener without TLS. */
  readonly onForeignTls?: () => void;
}

/** An HTTP server that bounds what clients may cost, and ends in order. */
export class HttpListener {
  readonly #server: Server | TlsServer;
  readonly #http2: Http2Sessions;
  readonly #address: ListenAddress;
  readonly #option: string;
  readonly #onForeignTls: (() => void) | undefined;
  readonly #connections: OpenConnections;
  readonly #pipeline = new Pipeline();
  readonly #halfClosedTimeout: number;
  #stopping = false;

  /** @param option name of the option that the address came from, for error messages */
  constructor(
    address: ListenAddress,
    option: string,
    handler: RequestHandler,
    init: HttpListenerInit = {},
  ) {
    const { headTimeout = HEAD_TIMEOUT_MS } = init;
    this.#address = address;
    this.#option = option;
    const perAddress = init.connectionsPerAddress ?? MAX_CONNECTIONS_PER_ADDRESS;
    const { isLocal = new LocalClients().has, connections = MAX_CONNECTIONS } = init;
    this.#connections = new OpenConnections({ isLocal }, { ...connections, perAddress });
    this.#onForeignTls = init.onForeignTls;
    this.#halfClosedTimeout = init.halfClosedTimeout ?? HALF_CLOSED_MS;
    const answer = (req: IncomingMessage, res: ServerResponse): void => {
      void this.#answer(req, res, handler);
    };
    const bounds: ServerOptions = {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: headTimeout,
      requestTimeout: headTimeout,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: Math.min(HEAD_CHECK_MS, headTimeout),
      requireHostHeader: false, // Checked below: the answer of Node.js has no body.
    };
    this.#http2 = new Http2Sessions(
      (req, res) => {
        // Node.js accepts heads of up to 64 KiB by HTTP/2, although it announces less to the client.
        if (!isTooLarge(req)) return this.#answerNow(asHttp1(req), res.asHttp1, handler);
        writeError(res.asHttp1, headTooLarge());
        return Promise.resolve();
      },
      {
        headTimeout,
        idleTimeout: IDLE_TIMEOUT_MS,
        keepAlive: KEEP_ALIVE_MS,
        requestsPerAddress: perAddress,
      },
    );
    const onHttp2 = this.#http2.accept.bind(this.#http2);
    const { tls } = init;
    this.#server =
      tls === undefined
        ? createServer(bounds, answer)
        : createTlsServer(bounds, tls, headTimeout, { answer, onHttp1: refuseFloods, onHttp2 });
    this.#server.timeout = IDLE_TIMEOUT_MS;
    // Not in the types of Node.js, which otherwise ends the connection together with its client's side.
    Object.assign(this.#server, { httpAllowHalfOpen: true });
    this.#server.on('connection', (socket: Socket) => {
      this.#connections.add(socket);
      if (tls === undefined) refuseFloods(socket);
    });
    if (init.admits !== undefined) admitOnly(this.#server, init.admits);
    // Requests have no body, so an expectation does not change the answer.
    this.#server.on('checkContinue', answer).on('checkExpectation', answer);
    this.#server.on('clientError', (error, socket) => {
      this.#refuseMalformed(error, socket);
    });
  }

  /**
   * Begins to listen.
   *
   * @returns the port; the system has chosen it when the address has port 0
   * @throws ListenError
   */
  async start(): Promise<number> {
    return await bind(this.#server, this.#address, this.#option);
  }

  /**
   * Accepts no new connections, lets requests in progress finish, and closes their connections after the grace period.
   *
   * @param grace milliseconds
   */
  async stop(grace: number): Promise<void> {
    if (!this.#server.listening) return;
    this.#stopping = true;
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => {
        resolve();
      });
    });
    this.#http2.close();
    const timer = new AbortController();
    const cut = delay(grace, undefined, { signal: timer.signal }).then(
      () => {
        this.#server.closeAllConnections();
        this.#http2.destroy();
        // The servers do not know connections whose TLS handshake goes on.
        this.#connections.destroy();
      },
      () => undefined,
    );
    await closed;
    timer.abort();
    await cut;
  }

  /**
   * Ends a connection whose request cannot be parsed, after the answers to earlier requests. A head that came too late
   * gets no answer: Node.js would answer 408, and containerd repeats a request without pause after 408.
   */
  #refuseMalformed(error: Error, socket: Duplex): void {
    if (hasCode(error, 'ECONNRESET') || !socket.writable) {
      socket.destroy();
      return;
    }
    const lastAnswer = this.#pipeline.lastAnswer(socket);
    if (lastAnswer !== undefined) {
      // Bytes that are written now would be in the middle of another answer.
      void lastAnswer.then(() => socket.end());
      return;
    }
    if (hasCode(error, 'ERR_HTTP_REQUEST_TIMEOUT')) {
      socket.destroy();
      return;
    }
    if (isHandshake(error)) this.#onForeignTls?.();
    socket.end(rawError(malformed(error)));
  }

  async #answer(req: IncomingMessage, res: ServerResponse, handler: RequestHandler): Promise<void> {
    const { socket } = req;
    if (!(await this.#pipeline.turn(req, res))) return;
    serveHalfClosed(req, res, this.#halfClosedTimeout, () => this.#pipeline.hasSeveral(socket));
    await this.#answerNow(req, res, handler);
  }

  async #answerNow(
    req: IncomingMessage,
    res: ServerResponse,
    handler: RequestHandler,
  ): Promise<void> {
    const gone = new AbortController();
    const ended = this.#connections.begin(req.socket);
    res.on('close', () => {
      ended();
      if (!isSent(res)) gone.abort();
      // A connection that becomes idle after `stop` closed the idle ones would delay the end.
      if (this.#stopping) this.#server.closeIdleConnections();
    });
    res.on('error', () => undefined); // A client left during the body: 'close' follows.
    // GET and HEAD have no body. A client that sends one loses its connection: it could make us skip a body without
    // end otherwise.
    if (
      req.headers['transfer-encoding'] !== undefined ||
      (req.headers['content-length'] ?? '0') !== '0'
    ) {
      res.shouldKeepAlive = false;
    }
    if (req.headers.host === undefined && req.httpVersion === '1.1') {
      res.shouldKeepAlive = false;
      writeError(res, new OciError('REQUEST_INVALID', 'no Host')); // RFC 9112, section 3.2
      return;
    }
    await handler(req, res, gone.signal);
  }
}
