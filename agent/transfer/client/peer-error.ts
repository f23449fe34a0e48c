import { codeOf } from '../../errors/system-error.ts';
import { NotThereError } from '../../routing/node/not-there-error.ts';
import type { PeerReport } from './peer-report.ts';

/** Why a peer did not deliver; the label of `peerglass_peer_failures_total`. */
export type PeerFailure =
  /** No connection: another address of the peer may work. */
  | 'connect'
  | 'timeout'
  | 'not-found'
  /** The peer has the content but is at its limit. That is no failure, and it may be asked again after a while. */
  | 'busy'
  | 'status'
  | 'range'
  | 'protocol'
  | 'digest'
  | 'body'
  /**
   * One side does not accept the certificate of the other, or the peer advertises TLS and has none. In TLS 1.3 a client
   * sends its request before it is refused. So a connection that ends before its first byte counts as refused.
   */
  | 'tls'
  /** Something else than the peer answered there, or the peer does not prove who it is. Nothing of it is believed. */
  | 'identity';

const NOT_CONNECTED: ReadonlySet<string> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EADDRNOTAVAIL',
]);

/** Error codes of OpenSSL, of the checks of Node.js, and of alerts from the peer. */
const TLS_FAILURE =
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|HOSTNAME_|EPROTO)/;

/** One peer failed; another may not. The message is for logs, and never holds text that came from the peer. */
export class PeerError extends Error {
  override readonly name = 'PeerError';
  readonly code = 'ERR_PEER';
  readonly reason: PeerFailure;
  /** The report in the headers of an answer that was refused. */
  report?: PeerReport;

  constructor(reason: PeerFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** Turns any error of an HTTP exchange into a {@link PeerError}, with `fallback` where its code names no reason. */
export function toPeerError(error: unknown, fallback: PeerFailure): PeerError {
  if (error instanceof PeerError) return error;
  if (error instanceof NotThereError) {
    return new PeerError(error.isOther ? 'identity' : 'connect', error.message, { cause: error });
  }
  const code = codeOf(error) ?? '';
  let reason = fallback;
  if (NOT_CONNECTED.has(code)) reason = 'connect';
  else if (TLS_FAILURE.test(code)) reason = 'tls';
  else if (code.includes('TIMEOUT')) reason = 'timeout';
  else if (code.startsWith('HPE_')) reason = 'protocol';
  return new PeerError(reason, code === '' ? 'exchange failed' : code, { cause: error });
}
