import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

import { destroyOnAbort } from '../../../streams/destroy-on-abort.ts';
import { BoundedMap } from '../../../timing/bounded-map.ts';
import type { SilenceInit } from '../../../timing/silence.ts';
import { PeerError } from '../peer-error.ts';
import {
  DirectConnection,
  type DirectConnectionInit,
  type DirectResponse,
} from './direct-connection.ts';

/** Connections to one peer by default. Further requests use the other client. */
const MAX_CONNECTIONS_PER_PEER = 256;

/** Idle connections to one peer, and to all peers. */
const MAX_IDLE_PER_PEER = 16;
const MAX_IDLE = 64;

/** Servers whose session by TLS is kept. */
const MAX_SESSIONS = 100;

/** Time after which an idle connection is closed, in milliseconds: earlier than peers close it. */
const KEEP_ALIVE_MS = 30_000;

/** Options of a {@link DirectClient}, in milliseconds; see `PeerClientInit`. */
export interface DirectClientInit
  extends
    SilenceInit,
    Pick<DirectConnectionInit, 'connectTimeout' | 'lookup' | 'maxHeaderBytes' | 'takesUnsized'> {
  /** Connections to one server, see {@link DirectClient.hasCapacity}. Default 256. */
  readonly maxConnections?: number;
  /** For servers by https. Default: what Node.js trusts. */
  readonly tls?: ConnectionOptions;
}

/** What no value of a header has; RFC 9110, section 5.5, without the bytes that only old servers know. */
const NO_FIELD_VALUE = /[^\t\x20-\x7e]/;

function closed(): PeerError {
  return new PeerError('body', 'the client is closed');
}

interface Pool {
  open: number;
  readonly idle: Map<DirectConnection, NodeJS.Timeout>;
}

/**
 * A minimal client for HTTP/1.1. It gets bodies of a known length, by http over connections whose bytes the kernel can move. The
 * caller checks the heads.
 */
export class DirectClient {
  readonly #init: DirectClientInit;
  readonly #pools = new Map<string, Pool>();
  readonly #connections = new Set<DirectConnection>();
  /** By TLS, of each server the last one. */
  readonly #sessions = new BoundedMap<string, Buffer>(MAX_SESSIONS);
  #idle = 0;
  #isRetired = false;
  #isClosed = false;

  constructor(init: DirectClientInit) {
    this.#init = init;
  }

  /** Whether one more request to the peer is possible now. */
  hasCapacity(origin: string): boolean {
    const pool = this.#pools.get(origin);
    const { maxConnections = MAX_CONNECTIONS_PER_PEER } = this.#init;
    return pool === undefined || pool.idle.size > 0 || pool.open < maxConnections;
  }

  /**
   * Sends a GET request.
   *
   * @param url `http:` or `https:`
   * @param headers the fields other than `Host`
   * @param signal ends the request, the body included
   * @throws PeerError; the error of the socket; the signal's reason when that is aborted
   */
  async get(
    url: URL,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<DirectResponse> {
    const fields = Object.entries({ host: url.host, ...headers });
    // Above all a line break, behind which there would be a field, or a request, of its own.
    if (fields.some(([, value]) => NO_FIELD_VALUE.test(value)))
      throw new PeerError('protocol', 'a header with a character that it cannot have');
    const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    const text = `GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines}\r\n`;
    for (;;) {
      signal.throwIfAborted();
      if (this.#isClosed) throw closed();
      const connection = this.#take(url);
      const abort = (): void => {
        connection.destroy(signal.reason as Error);
      };
      signal.addEventListener('abort', abort, { once: true });
      try {
        const response = await connection.request(text);
        signal.removeEventListener('abort', abort);
        destroyOnAbort(response.body, signal);
        return response;
      } catch (error) {
        signal.removeEventListener('abort', abort);
        // The peer may close an idle connection just when it is used again. That is no failure of the peer.
        if (signal.aborted || !connection.isReused || !connection.isSilent) throw error;
      }
    }
  }

  /** Ends every connection, requests in progress included. */
  close(): void {
    this.#isClosed = true;
    // With an error: a body of unknown length would be whole without one.
    for (const connection of this.#connections) connection.destroy(closed());
  }

  /** Ends every connection once it is idle. */
  retire(): void {
    this.#isRetired = true;
    for (const { idle } of this.#pools.values()) {
      for (const connection of idle.keys()) connection.destroy();
    }
  }

  #take(url: URL): DirectConnection {
    const pool: Pool = this.#pools.get(url.origin) ?? { open: 0, idle: new Map() };
    this.#pools.set(url.origin, pool);
    const [last] = [...pool.idle.keys()].slice(-1);
    if (last !== undefined) {
      this.#removeIdle(pool, last);
      return last;
    }
    pool.open += 1;
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const isSecure = url.protocol === 'https:';
    const connection = new DirectConnection({
      ...this.#init,
      host,
      port: url.port === '' ? (isSecure ? 443 : 80) : Number(url.port),
      tls: isSecure ? { ...this.#init.tls, ...this.#greeting(url.origin, host) } : undefined,
      onSession: (session) => {
        this.#sessions.set(url.origin, session);
      },
      onFree: () => {
        this.#addIdle(pool, connection);
      },
      onClose: () => {
        this.#removeIdle(pool, connection);
        this.#connections.delete(connection);
        pool.open -= 1;
        if (pool.open === 0) this.#pools.delete(url.origin);
      },
    });
    this.#connections.add(connection);
    return connection;
  }

  /** An address is no name of a server (RFC 6066, section 3). */
  #greeting(origin: string, host: string): ConnectionOptions {
    const session = this.#sessions.get(origin);
    return { ...(isIP(host) === 0 && { servername: host }), ...(session && { session }) };
  }

  #addIdle(pool: Pool, connection: DirectConnection): void {
    const isFull = pool.idle.size >= MAX_IDLE_PER_PEER || this.#idle >= MAX_IDLE;
    if (isFull || this.#isRetired) {
      connection.destroy();
      return;
    }
    const timer = setTimeout(() => {
      connection.destroy();
    }, KEEP_ALIVE_MS).unref();
    pool.idle.set(connection, timer);
    this.#idle += 1;
    connection.setIdle();
  }

  #removeIdle(pool: Pool, connection: DirectConnection): void {
    clearTimeout(pool.idle.get(connection));
    if (pool.idle.delete(connection)) this.#idle -= 1;
  }
}
