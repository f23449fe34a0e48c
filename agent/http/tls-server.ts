import { constants } from 'node:crypto';
import type { RequestListener, ServerOptions } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { SecureContextOptions, TLSSocket } from 'node:tls';

import type { TlsMaterial } from '../tls/tls-material.ts';
import type { TlsSource } from '../tls/tls-keeper.ts';

/** TLS settings of a listener. */
export interface ListenerTls {
  readonly source: TlsSource;
  /** Whether clients must show a certificate that one of the authorities of clients has signed. */
  readonly clientAuth: 'none' | 'require';
  /** Called for each handshake that failed. */
  readonly onFailure?: (reason: HandshakeFailure, error: Error) => void;
}

/** Why a handshake failed. */
export type HandshakeFailure = 'plain-http' | 'distrust' | 'client-certificate' | 'other';

/** Codes of OpenSSL for the alerts of a client that does not accept our certificate. */
const DISTRUST = /ALERT_(?:BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_|UNSUPPORTED_CERTIFICATE)/;

/** The code of OpenSSL for a client that shows no certificate. */
const NO_CERTIFICATE = 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE';

/** Handlers of a connection whose handshake is done. */
export interface TlsServerHandlers {
  /** Answers a request by HTTP/1.1. */
  readonly answer: RequestListener;
  /** Called for each connection that speaks HTTP/1.1, in addition to the server's own handling. */
  readonly onHttp1: (socket: TLSSocket) => void;
  /** Serves a connection that speaks HTTP/2. */
  readonly onHttp2: (socket: TLSSocket) => void;
}

/**
 * Makes a server that speaks HTTP/2 and HTTP/1.1 over TLS, as each client chooses. It is a server of `node:https`, so
 * that HTTP/1.1 has the same bounds as without TLS. The server of `node:http2` lacks some of them.
 *
 * @param http bounds on HTTP/1.1
 * @param handshakeTimeout milliseconds
 */
export function createTlsServer(
  http: ServerOptions,
  { source, clientAuth, onFailure }: ListenerTls,
  handshakeTimeout: number,
  { answer, onHttp1, onHttp2 }: TlsServerHandlers,
): Server {
  const required = clientAuth === 'require';
  const server = createServer(
    {
      ...http,
      ...toContext(source.current),
      noDelay: true,
      ALPNProtocols: ['h2', 'http/1.1'],
      handshakeTimeout,
      requestCert: required,
      rejectUnauthorized: required,
    },
    answer,
  );
  const serveHttp1 = server.listeners('secureConnection');
  server.removeAllListeners('secureConnection');
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.alpnProtocol === 'h2') {
      onHttp2(socket);
      return;
    }
    for (const listener of serveHttp1) listener.call(server, socket);
    onHttp1(socket);
  });
  // The listener of Node.js would answer a failed handshake by HTTP.
  server.removeAllListeners('tlsClientError');
  server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    onFailure?.(failureOf(error, socket), error);
    socket.destroy();
  });
  source.onChange((material) => {
    server.setSecureContext(toContext(material));
  });
  return server;
}

function toContext({ identity, ca, clientCa = ca }: TlsMaterial): SecureContextOptions {
  return {
    // By renegotiation a client of TLS 1.2 could make us repeat the most expensive part of a connection.
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ...(identity && { cert: identity.cert, key: identity.key }),
    ...(clientCa && { ca: clientCa }),
  };
}

function failureOf(error: Error, socket: TLSSocket): HandshakeFailure {
  const code = 'code' in error ? String(error.code) : '';
  if (code === 'ERR_SSL_HTTP_REQUEST') return 'plain-http';
  if (DISTRUST.test(code)) return 'distrust';
  // Node.js checks the client's certificate after the handshake, and then closes the connection.
  const refused = code === NO_CERTIFICATE || isRefused(socket);
  return refused ? 'client-certificate' : 'other';
}

function isRefused({ authorizationError }: { readonly authorizationError?: unknown }): boolean {
  return authorizationError !== undefined && authorizationError !== null;
}
