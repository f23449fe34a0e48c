import { checkServerIdentity, type ConnectionOptions, type PeerCertificate } from 'node:tls';

import { Agent, type Dispatcher } from 'undici';

import type { TlsSource } from '../../tls/tls-keeper.ts';
import type { TlsMaterial } from '../../tls/tls-material.ts';
import { tlsConnector } from './tls-connector.ts';
import { UnsolicitedFrames } from './unsolicited-frames.ts';

/** Largest response head that a peer may send, in bytes. */
const MAX_HEADER_BYTES = 16 * 1024;

/** Connections to one peer; more requests than that wait for a free one, and time out like any other. */
const MAX_CONNECTIONS_PER_PEER = 512;

/** HTTP/2 connections to one peer, and requests at once over each. */
const MAX_SESSIONS_PER_PEER = 8;
const MAX_STREAMS = 64;

/** What a stream may have sent that nobody has read, in bytes, and all streams of a connection together. */
const STREAM_WINDOW = 256 * 1024;
/** As much as all streams may: or bodies that nobody reads yet would hold up the others. */
const CONNECTION_WINDOW = MAX_STREAMS * STREAM_WINDOW;

/** How peers that have TLS are told from others. */
export interface PeerTls {
  readonly source: TlsSource;
  /** A name that certificates of peers may be for; empty for the names of our own. */
  readonly serverName: string;
}

/** Options of {@link PeerAgents}. */
export interface PeerAgentsInit {
  /** Until the peer is reached, in milliseconds; a handshake has its own time. */
  readonly connectTimeout: number;
  /** Between two pieces of a body, in milliseconds. */
  readonly stallTimeout: number;
  /** Absent where nothing is known that certificates could be checked against: then they are not. */
  readonly tls?: PeerTls;
}

/** What is said of TLS when a connection is made. */
type TlsOptions = Pick<
  ConnectionOptions,
  'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'checkServerIdentity'
>;

/** The pools of connections to peers, by the way in which they are spoken to. */
export class PeerAgents {
  readonly #init: PeerAgentsInit;
  readonly #plain: Agent;
  /** HTTP/1.1 by TLS. */
  #bodies: Agent;
  /** HTTP/2, with peers that can. */
  #small: Agent;
  readonly #retired = new Set<Agent>();
  readonly #unasked = new UnsolicitedFrames({ isIdle: (origin) => this.#isIdle(origin) });

  constructor(init: PeerAgentsInit) {
    this.#init = init;
    this.#plain = this.#create({
      connections: MAX_CONNECTIONS_PER_PEER,
      connect: { timeout: init.connectTimeout },
      allowH2: false,
    });
    const connect = tlsOptions(init.tls?.source.current, init.tls?.serverName);
    this.#bodies = this.#secure(connect, false);
    this.#small = this.#secure(connect, true);
    init.tls?.source.onChange((material) => {
      this.#renew(material);
    });
  }

  /**
   * The pool for a request.
   *
   * @param large whether the body may be one. Those have a connection for themselves: over a shared one all bodies
   * wait for the one that is read slowest, and a peer would seem to stall that does not.
   */
  for({ protocol, origin }: URL, large: boolean): Dispatcher {
    if (protocol === 'http:') return this.#plain;
    if (large) return this.#bodies;
    this.#unasked.ask(origin);
    return this.#small;
  }

  /** Ends every connection, requests in progress included. */
  async close(): Promise<void> {
    const all = [this.#plain, this.#bodies, this.#small, ...this.#retired];
    await Promise.all(all.map((agent) => agent.destroy()));
  }

  #isIdle(origin: string): boolean {
    return [this.#small, ...this.#retired].every(({ stats }) => (stats[origin]?.size ?? 0) === 0);
  }

  /** Further requests go over connections that use the new certificates; those in progress end as they began. */
  #renew(material: TlsMaterial): void {
    for (const old of [this.#bodies, this.#small]) {
      this.#retired.add(old);
      const gone = (): boolean => this.#retired.delete(old);
      void old.close().then(gone, gone);
    }
    const connect = tlsOptions(material, this.#init.tls?.serverName);
    this.#bodies = this.#secure(connect, false);
    this.#small = this.#secure(connect, true);
  }

  #secure(tls: TlsOptions, http2: boolean): Agent {
    const { connectTimeout } = this.#init;
    const onHttp2 = this.#unasked.watch.bind(this.#unasked);
    return this.#create({
      connections: http2 ? MAX_SESSIONS_PER_PEER : MAX_CONNECTIONS_PER_PEER,
      connect: tlsConnector({ tls, connectTimeout, http2, onHttp2 }),
      allowH2: http2,
      ...(http2 && {
        h2Options: {
          maxConcurrentStreams: MAX_STREAMS,
          connectionWindowSize: CONNECTION_WINDOW,
          settings: { initialWindowSize: STREAM_WINDOW },
        },
      }),
    });
  }

  #create(options: Agent.Options): Agent {
    return new Agent({
      pipelining: 1,
      bodyTimeout: this.#init.stallTimeout,
      headersTimeout: 0, // the caller's timer covers connecting too
      maxHeaderSize: MAX_HEADER_BYTES,
      keepAliveTimeout: 30_000,
      ...options,
    });
  }
}

/**
 * How the certificate of a peer is checked. Peers are reached by IP, and a cluster may have one certificate for all
 * its nodes, which cannot name those: a name that the peer's certificate shares with ours does as well.
 */
function tlsOptions(material: TlsMaterial | undefined, serverName = ''): TlsOptions {
  if (material === undefined) return { rejectUnauthorized: false };
  const { identity, ca } = material;
  // Whatever else the authority issues, `localhost` may be in it.
  const own = (identity?.names ?? []).filter((name) => name !== 'localhost');
  const names = serverName === '' ? own : [serverName];
  return {
    ...(identity && { cert: identity.cert, key: identity.key }),
    ...(ca && { ca }),
    checkServerIdentity: (ip: string, certificate: PeerCertificate) => {
      const failure = checkServerIdentity(ip, certificate);
      const isNamed = names.some((name) => checkServerIdentity(name, certificate) === undefined);
      return isNamed ? undefined : failure;
    },
  };
}
