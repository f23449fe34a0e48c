import type { TLSSocket } from 'node:tls';

import { buildConnector, errors } from 'undici';

/**
 * For a handshake, in milliseconds. It is not a matter of the way but of the peer's processor, and of ours: hundreds
 * that begin at once wait for each other. What a request waits for is bounded by its own time.
 */
const HANDSHAKE_MS = 5_000;

/** Options of {@link tlsConnector}. */
export interface TlsConnectorInit {
  /** What is said of TLS. */
  readonly tls: buildConnector.BuildOptions;
  /** Until the peer is reached, which is before the handshake; milliseconds. */
  readonly connectTimeout: number;
  /** Whether HTTP/2 is offered. */
  readonly http2: boolean;
  /** Told of each connection over which HTTP/2 was agreed. */
  readonly onHttp2?: (origin: string, socket: TLSSocket) => void;
}

/** Makes connections by TLS. An address where nobody is must not cost as much time as a handshake may. */
export function tlsConnector(init: TlsConnectorInit): buildConnector.connector {
  const { tls, connectTimeout, http2, onHttp2 } = init;
  // Its types hide that it gives back the socket.
  const connect = buildConnector({
    ...tls,
    timeout: HANDSHAKE_MS,
    allowH2: http2,
    ...(http2 && { preferH2: true }),
  }) as (...args: Parameters<buildConnector.connector>) => TLSSocket;
  return (options, callback) => {
    const socket = connect(options, callback);
    const timer = setTimeout(() => {
      socket.destroy(new errors.ConnectTimeoutError(`not reached in ${connectTimeout} ms`));
    }, connectTimeout);
    const reached = (): void => {
      clearTimeout(timer);
    };
    socket.once('connect', reached).once('close', reached);
    socket.once('secureConnect', () => {
      if (socket.alpnProtocol === 'h2') onHttp2?.(`https://${options.host ?? ''}`, socket);
    });
  };
}
