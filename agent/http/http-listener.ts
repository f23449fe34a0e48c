import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerOptions,
  type ServerResponse,
} from 'node:http';
import type { Server as TlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

import { codeOf, hasCode } from '../errors/system-error.ts';
import { OciError } from '../oci/errors.ts';
import { asHttp1, isSent } from './http2-response.ts';
import { Http2Sessions } from './http2-sessions.ts';
import { listenError, type ListenError } from './listen-error.ts';
import { rawError, writeError } from './error-answer.ts';
import { OpenConnections } from './open-connections.ts';
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

/** Most connections at once to one listener. */
const MAX_CONNECTIONS = 4_096;

/** Most of these from one address, so that a single host cannot take them all; a peer opens 512 at most. */
const MAX_CONNECTIONS_PER_ADDRESS = 1_024;

/** A request head must be complete in this time, in milliseconds: slow-dripped ones are closed. */
const HEAD_TIMEOUT_MS = 10_000;

/** How often it is looked whether one is late, in milliseconds. */
const HEAD_CHECK_MS = 1_000;

/** A connection on which nothing moves for so long is closed, in milliseconds. */
const IDLE_TIMEOUT_MS = 300_000;

/** Idle connections are kept longer than clients keep theirs, so that the client is the one who closes. */
const KEEP_ALIVE_MS = 120_000;

/** Answers one request; must not reject. The signal is aborted when the client goes away early. */
export type RequestHandler = (
  req: IncomingMessage,
  res: ServerResponse,
  signal: AbortSignal,
) => Promise<void>;

/** Where to listen. */
export interface ListenAddress {
  /** Host or IP; empty for every address, IPv6 and IPv4. */
  readonly host: string;
  /** TCP port; 0 lets the system choose. */
  readonly port: number;
}

/** Bounds of a listener. */
export interface HttpListenerInit {
  /** Until a request is complete, in milliseconds. Default 10,000. */
  readonly headTimeout?: number;
  /** Connections from one address at once, and requests by HTTP/2; further ones are refused. Default 1,024. */
  readonly connectionsPerAddress?: number;
  /** To speak TLS, and HTTP/2 with whoever can. Default: plain HTTP/1.1. */
  readonly tls?: ListenerTls;
  /** Told of clients that speak TLS where it is not spoken. */
  readonly onForeignTls?: () => void;
}

/** An HTTP server with bounds on what clients may cost, and an orderly end. */
export class HttpListener {
  readonly #server: Server | TlsServer;
  readonly #http2: Http2Sessions;
  readonly #address: ListenAddress;
  readonly #option: string;
  readonly #onForeignTls: (() => void) | undefined;
  readonly #connections: OpenConnections;
  readonly #pipeline = new Pipeline();
  #stopping = false;

  /** @param option name of the option that the address came from, for messages */
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
    this.#connections = new OpenConnections(perAddress);
    this.#onForeignTls = init.onForeignTls;
    const answer = (req: IncomingMessage, res: ServerResponse): void => {
      void this.#answer(req, res, handler);
    };
    const bounds: ServerOptions = {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: headTimeout,
      requestTimeout: headTimeout,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: Math.min(HEAD_CHECK_MS, headTimeout),
      requireHostHeader: false, // it is looked at below: Node's own answer has no body
    };
    this.#http2 = new Http2Sessions(
      (req, res) => {
        // Node.js itself takes up to 64 KiB there, whatever it says to the client.
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
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.timeout = IDLE_TIMEOUT_MS;
    this.#server.on('connection', (socket: Socket) => {
      this.#connections.add(socket);
      if (tls === undefined) refuseFloods(socket);
    });
    // No body is wanted, and no expectation changes the answer.
    this.#server.on('checkContinue', answer).on('checkExpectation', answer);
    this.#server.on('clientError', (error, socket) => {
      this.#refuseMalformed(error, socket);
    });
  }

  /**
   * Begins to listen.
   *
   * @returns the port, which the system chose if 0 was asked for
   * @throws ListenError
   */
  async start(): Promise<number> {
    const { host, port } = this.#address;
    try {
      await this.#listen(host === '' ? '::' : host, port);
    } catch (error) {
      // A host without IPv6 has no `::`; every address then means every IPv4 address.
      if (host !== '' || !hasCode(error, 'EAFNOSUPPORT', 'EADDRNOTAVAIL'))
        throw this.#explain(error);
      await this.#listen('0.0.0.0', port).catch((second: unknown) => {
        throw this.#explain(second);
      });
    }
    return (this.#server.address() as AddressInfo).port;
  }

  /**
   * Takes no new connections, lets requests in progress finish, and cuts them off when the time is up.
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
        // Those that are still at their handshake are known to nobody else.
        this.#connections.destroy();
      },
      () => undefined,
    );
    await closed;
    timer.abort();
    await cut;
  }

  #listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
  }

  #explain(error: unknown): ListenError {
    const { host, port } = this.#address;
    return listenError(this.#option, `${host}:${port}`, codeOf(error) ?? 'unknown reason', error);
  }

  /**
   * Ends a connection whose request cannot be read, after the answers to those before it. A head that came too
   * late gets no answer: Node's own would be 408, on which containerd repeats the request without pause.
   */
  #refuseMalformed(error: Error, socket: Duplex): void {
    if (hasCode(error, 'ECONNRESET') || !socket.writable) {
      socket.destroy();
      return;
    }
    const lastAnswer = this.#pipeline.lastAnswer(socket);
    if (lastAnswer !== undefined) {
      // Whatever is written now would stand in the middle of another answer.
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
    if (await this.#pipeline.turn(req, res)) await this.#answerNow(req, res, handler);
  }

  async #answerNow(
    req: IncomingMessage,
    res: ServerResponse,
    handler: RequestHandler,
  ): Promise<void> {
    const gone = new AbortController();
    res.on('close', () => {
      if (!isSent(res)) gone.abort();
      // A connection that falls idle after the others were closed would hold the end up.
      if (this.#stopping) this.#server.closeIdleConnections();
    });
    res.on('error', () => undefined); // a client that goes away in mid-body; 'close' follows
    // GET and HEAD have no body. Whoever sends one may not keep the connection: skipping an endless body
    // would be work that the client decides on.
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
