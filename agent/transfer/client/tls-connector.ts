import type { TLSSocket } from 'node:tls';

import { buildConnector, errors } from 'undici';

import { PeerError } from './peer-error.ts';

/**
 * Time for a TLS handshake, in milliseconds. It depends on the processors of both sides rather than on the network:
 * hundreds of handshakes that begin at once wait for each other. A request has its own, shorter time.
 */
const HANDSHAKE_MS = 5_000;

/** Options of {@link tlsConnector}. */
export interface TlsConnectorInit {
  /** TLS options of each connection. */
  readonly tls: buildConnector.BuildOptions;
  /** Time to reach the peer, before the handshake begins, in milliseconds. */
  readonly connectTimeout: number;
  /** Whether HTTP/2 is offered. */
  readonly http2: boolean;
  /** Whether a connection may be used whose handshake is done. Default: the TLS options decide. */
  readonly isAccepted?: ((origin: string, socket: TLSSocket) => boolean) | undefined;
  /** Called for each connection that uses HTTP/2. */
  readonly onHttp2?: (origin: string, socket: TLSSocket) => void;
}

/** Makes TLS connections. An address that nothing listens on costs `connectTimeout`, not the time of a handshake. */
export function tlsConnector(init: TlsConnectorInit): buildConnector.connector {
  const { tls, connectTimeout, http2, onHttp2, isAccepted } = init;
  // undici returns the socket, though its types do not show it.
  const connect = buildConnector({
    ...tls,
    timeout: HANDSHAKE_MS,
    // A resumed session shows no certificate.
    ...(isAccepted !== undefined && { maxCachedSessions: 0 }),
    allowH2: http2,
    ...(http2 && { preferH2: true }),
  }) as (...args: Parameters<buildConnector.connector>) => TLSSocket;
  return (options, callback) => {
    const origin = `https://${options.host ?? ''}`;
    const socket = connect(options, (...result) => {
      const [error, connected] = result;
      if (error !== null || isAccepted?.(origin, connected as TLSSocket) !== false) {
        callback(...result);
        return;
      }
      connected.destroy();
      callback(new PeerError('tls', 'the certificate is not of the peer that is asked'), null);
    });
    const timer = setTimeout(() => {
      socket.destroy(new errors.ConnectTimeoutError(`not reached in ${connectTimeout} ms`));
    }, connectTimeout);
    const reached = (): void => {
      clearTimeout(timer);
    };
    socket.once('connect', reached).once('close', reached);
    socket.once('secureConnect', () => {
      if (socket.alpnProtocol === 'h2') onHttp2?.(origin, socket);
    });
  };
}
