import {
  checkServerIdentity,
  type ConnectionOptions,
  type PeerCertificate,
  type TLSSocket,
} from 'node:tls';

import { Agent, type Dispatcher } from 'undici';

import type { TlsSource } from '../../tls/tls-keeper.ts';
import type { TlsMaterial } from '../../tls/tls-material.ts';
import { NamedPeers } from './named-peers.ts';
import { tlsConnector } from './tls-connector.ts';
import { UnsolicitedFrames } from './unsolicited-frames.ts';

/** Largest response head that a peer may send, in bytes. */
const MAX_HEADER_BYTES = 16 * 1024;

/** Connections to one peer; more requests than that wait for a free one, and time out like any other. */
const MAX_CONNECTIONS_PER_PEER = 512;

/** HTTP/2 connections to one peer, and requests at once over each. */
const MAX_SESSIONS_PER_PEER = 8;
const MAX_STREAMS = 64;

/** Bytes that a peer may send on one stream before we read them. */
const STREAM_WINDOW = 256 * 1024;
/** The same for all streams of a connection: their sum, so that unread bodies do not block the others. */
const CONNECTION_WINDOW = MAX_STREAMS * STREAM_WINDOW;

/** How certificates of peers are checked. */
export interface PeerTls {
  readonly source: TlsSource;
  /** A name that certificates of peers may be issued for; empty for the names in our own certificate. */
  readonly serverName: string;
  /** Whether the certificate of a peer is its libp2p identity, see `IdentityCertificate`. Default: of an authority. */
  readonly byIdentity?: boolean;
}

/** Options of {@link PeerAgents}. */
export interface PeerAgentsInit {
  /** Time to reach the peer, in milliseconds. A TLS handshake has its own time. */
  readonly connectTimeout: number;
  /** Longest time between two chunks of a body, in milliseconds; 0 for none. */
  readonly stallTimeout: number;
  /** Absent: certificates are not checked, as there is no authority to check them against. */
  readonly tls?: PeerTls;
}

/** TLS options of a connection. */
type TlsOptions = Pick<
  ConnectionOptions,
  'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'checkServerIdentity'
>;

/** The pools of connections to peers: plain HTTP/1.1, HTTP/1.1 over TLS, and HTTP/2 over TLS. */
export class PeerAgents {
  readonly #init: PeerAgentsInit;
  readonly #plain: Agent;
  /** HTTP/1.1 over TLS, for large bodies. */
  #bodies: Agent;
  /** HTTP/2 over TLS where the peer supports it, for all other requests. */
  #small: Agent;
  readonly #retired = new Set<Agent>();
  readonly #named = new NamedPeers();
  readonly #unsolicited = new UnsolicitedFrames({ isIdle: (origin) => this.#isIdle(origin) });

  constructor(init: PeerAgentsInit) {
    this.#init = init;
    this.#plain = this.#create({
      connections: MAX_CONNECTIONS_PER_PEER,
      connect: { timeout: init.connectTimeout },
      allowH2: false,
    });
    const connect = tlsOptions(init.tls?.source.current, init.tls);
    this.#bodies = this.#secure(connect, false);
    this.#small = this.#secure(connect, true);
    init.tls?.source.onChange((material) => {
      this.#renew(material);
    });
  }

  /**
   * The pool for a request.
   *
   * @param peerId who must answer
   * @param large whether the body may be large. Such a body gets a connection of its own: over a shared one all bodies
   * wait for the one that is read slowest, and a peer that works well would seem to stall.
   */
  for({ protocol, origin }: URL, peerId: string, large: boolean): Dispatcher {
    if (protocol === 'http:') return this.#plain;
    this.#named.add(origin, peerId);
    if (large) return this.#bodies;
    this.#unsolicited.requesting(origin);
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

  /** Later requests use connections with the new certificates. Requests in progress keep their connections. */
  #renew(material: TlsMaterial): void {
    for (const old of [this.#bodies, this.#small]) {
      this.#retired.add(old);
      const gone = (): boolean => this.#retired.delete(old);
      void old.close().then(gone, gone);
    }
    const connect = tlsOptions(material, this.#init.tls);
    this.#bodies = this.#secure(connect, false);
    this.#small = this.#secure(connect, true);
  }

  #secure(tls: TlsOptions, http2: boolean): Agent {
    const { connectTimeout } = this.#init;
    const isAccepted =
      this.#init.tls?.byIdentity === true
        ? (origin: string, socket: TLSSocket): boolean =>
            this.#named.isOneOf(origin, socket.getPeerX509Certificate())
        : undefined;
    const onHttp2 = this.#unsolicited.watch.bind(this.#unsolicited);
    return this.#create({
      connections: http2 ? MAX_SESSIONS_PER_PEER : MAX_CONNECTIONS_PER_PEER,
      connect: tlsConnector({ tls, connectTimeout, http2, onHttp2, isAccepted }),
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
 * How the certificate of a peer is checked. Peers are reached by IP address, and a cluster may have one certificate for
 * all its nodes, which cannot name these addresses. So a name that the peer's certificate shares with ours is accepted.
 */
function tlsOptions(
  material: TlsMaterial | undefined,
  { serverName = '', byIdentity = false }: Partial<PeerTls> = {},
): TlsOptions {
  // The certificate of an identity has no authority. Requests are signed, so that a client needs none.
  if (material === undefined || byIdentity) return { rejectUnauthorized: false };
  const { identity, client = identity, ca } = material;
  // The authority may issue many certificates with the name `localhost`: it identifies no node.
  const own = (identity?.names ?? []).filter((name) => name !== 'localhost');
  const names = serverName === '' ? own : [serverName];
  return {
    ...(client && { cert: client.cert, key: client.key }),
    ...(ca && { ca }),
    checkServerIdentity: (ip: string, certificate: PeerCertificate) => {
      const failure = checkServerIdentity(ip, certificate);
      const isNamed = names.some((name) => checkServerIdentity(name, certificate) === undefined);
      return isNamed ? undefined : failure;
    },
  };
}
