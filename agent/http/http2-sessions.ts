import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  constants,
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type ServerHttp2Session,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';

import { Http2Response } from './http2-response.ts';

/** Requests at once over one connection. Go and browsers expect this number. */
const MAX_STREAMS = 100;

/** Running handlers of one connection, including those whose stream was reset and that have not ended yet. */
const MAX_RUNNING = 2 * MAX_STREAMS;

/**
 * Streams of one connection that its client may reset at once, and per second. containerd resets the stream of each
 * range of a parallel fetch, some hundreds per second. Beyond the bound the connection is closed (CVE-2023-44487).
 */
const RESET_BURST = 4_096;
const RESETS_PER_SECOND = 1_000;

/** Largest request head, in bytes as HTTP/2 counts them, and the fields in it. */
const MAX_HEADER_BYTES = 16 * 1024;
const MAX_HEADER_FIELDS = 100;

/** Malformed frames, and streams beyond the bound, after which a connection is closed. */
const MAX_INVALID_FRAMES = 50;
const MAX_REJECTED_STREAMS = 100;

/**
 * Memory of one connection, in MB, before further streams are refused: a chunk of at most 1 MiB for each stream that
 * waits for a slow client.
 */
const MAX_SESSION_MEMORY = 128;

/** Until a connection is cut whose client was asked to close it, in milliseconds. */
const LINGER_MS = 5_000;

/** Bounds of {@link Http2Sessions}. */
export interface Http2SessionsInit {
  /** Until the first request, in milliseconds. */
  readonly headTimeout: number;
  /** Until a stream on which no bytes move is reset, in milliseconds. */
  readonly idleTimeout: number;
  /** Until a connection without requests is closed, in milliseconds, whatever other frames its client sends. */
  readonly keepAlive: number;
  /** Requests at once from one address. Further ones are refused, and the client repeats them later. */
  readonly requestsPerAddress: number;
}

/** Answers one request by HTTP/2; must not reject. */
export type Http2Handler = (req: Http2ServerRequest, res: Http2Response) => Promise<void>;

interface Session {
  readonly socket: TLSSocket;
  readonly address: string;
  running: number;
  timer: NodeJS.Timeout | undefined;
}

/** The HTTP/2 connections of a listener, with bounds on what they may cost. */
export class Http2Sessions {
  readonly #server: Http2Server<
    typeof IncomingMessage,
    typeof ServerResponse,
    typeof Http2ServerRequest,
    typeof Http2Response
  >;
  readonly #init: Http2SessionsInit;
  readonly #handler: Http2Handler;
  readonly #sessions = new Map<ServerHttp2Session, Session>();
  readonly #perAddress = new Map<string, number>();
  #accepting: TLSSocket | undefined;
  #stopping = false;

  constructor(handler: Http2Handler, init: Http2SessionsInit) {
    this.#handler = handler;
    this.#init = init;
    this.#server = createServer({
      Http2ServerResponse: Http2Response,
      maxHeaderListPairs: MAX_HEADER_FIELDS,
      maxSessionInvalidFrames: MAX_INVALID_FRAMES,
      maxSessionRejectedStreams: MAX_REJECTED_STREAMS,
      maxSessionMemory: MAX_SESSION_MEMORY,
      streamResetBurst: RESET_BURST,
      streamResetRate: RESETS_PER_SECOND,
      settings: {
        enablePush: false,
        maxConcurrentStreams: MAX_STREAMS,
        maxHeaderListSize: MAX_HEADER_BYTES,
      },
    });
    const answer = (req: Http2ServerRequest, res: Http2Response): void => {
      void this.#answer(req, res);
    };
    this.#server.on('session', (session) => {
      if (this.#accepting !== undefined) this.#open(session, this.#accepting);
    });
    this.#server.on('request', answer).on('checkContinue', answer);
  }

  /** Serves a connection on which HTTP/2 was agreed. */
  accept(socket: TLSSocket): void {
    this.#accepting = socket;
    this.#server.emit('connection', socket);
    this.#accepting = undefined;
  }

  /** Accepts no further requests, and closes each connection after its last answer. */
  close(): void {
    this.#stopping = true;
    for (const [session, state] of this.#sessions) this.#retire(session, state);
  }

  /** Closes all connections at once. */
  destroy(): void {
    for (const [session, state] of this.#sessions) this.#cut(session, state);
  }

  #open(session: ServerHttp2Session, socket: TLSSocket): void {
    const address = socket.remoteAddress ?? '';
    const state: Session = { socket, address, running: 0, timer: undefined };
    this.#sessions.set(session, state);
    session.on('error', () => undefined); // A client left: 'close' follows.
    session.once('close', () => {
      clearTimeout(state.timer);
      this.#sessions.delete(session);
    });
    if (this.#stopping) this.#retire(session, state);
    else this.#waitForRequest(session, state, this.#init.headTimeout);
  }

  #waitForRequest(session: ServerHttp2Session, state: Session, milliseconds: number): void {
    clearTimeout(state.timer);
    state.timer = setTimeout(() => {
      this.#retire(session, state);
    }, milliseconds).unref();
  }

  /** Closes the connection after its requests. */
  #retire(session: ServerHttp2Session, state: Session): void {
    clearTimeout(state.timer);
    if (session.destroyed) return;
    session.close();
    if (state.running > 0) return;
    state.timer = setTimeout(() => {
      this.#cut(session, state);
    }, LINGER_MS).unref();
  }

  #cut(session: ServerHttp2Session, { socket }: Session): void {
    session.destroy();
    // The session would try to send the rest first, which its client does not read.
    socket.destroy();
  }

  async #answer(req: Http2ServerRequest, res: Http2Response): Promise<void> {
    const { stream } = req;
    const { session } = stream;
    const state =
      session === undefined ? undefined : this.#sessions.get(session as ServerHttp2Session);
    if (session === undefined || state === undefined) {
      stream.destroy();
      return;
    }
    if (state.running >= MAX_RUNNING) {
      // Only streams that were reset can lead here: others are bounded.
      this.#cut(session as ServerHttp2Session, state);
      return;
    }
    const running = this.#perAddress.get(state.address) ?? 0;
    if (running >= this.#init.requestsPerAddress) {
      stream.close(constants.NGHTTP2_REFUSED_STREAM);
      return;
    }
    this.#perAddress.set(state.address, running + 1);
    state.running += 1;
    clearTimeout(state.timer);
    const closed = new Promise<void>((resolve) => {
      if (stream.closed) resolve();
      else stream.once('close', resolve);
    });
    stream.setTimeout(this.#init.idleTimeout, () => {
      stream.close(constants.NGHTTP2_CANCEL);
    });
    // Requests have no body: the rest of one that was begun is not read.
    const refuseBody = (): void => {
      if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
    };
    stream.once('finish', refuseBody);
    await this.#handler(req, res);
    await closed;
    this.#ended(session as ServerHttp2Session, state);
  }

  #ended(session: ServerHttp2Session, state: Session): void {
    state.running -= 1;
    const left = (this.#perAddress.get(state.address) ?? 0) - 1;
    if (left > 0) this.#perAddress.set(state.address, left);
    else this.#perAddress.delete(state.address);
    if (state.running > 0) return;
    if (this.#stopping) this.#retire(session, state);
    else if (!session.destroyed) this.#waitForRequest(session, state, this.#init.keepAlive);
  }
}
