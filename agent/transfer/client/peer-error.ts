import { codeOf } from '../../errors/system-error.ts';
import type { PeerReport } from './peer-report.ts';

/** Why a peer did not deliver; the label of `peerglass_peer_failures_total`. */
export type PeerFailure =
  /** No connection came about: another address of the peer may do. */
  | 'connect'
  | 'timeout'
  | 'not-found'
  /** It has the content, and too much to do: no fault, and it may be asked again in a while. */
  | 'busy'
  | 'status'
  | 'range'
  | 'protocol'
  | 'digest'
  | 'body'
  /**
   * Its certificate is not accepted, or ours is not; or it has no TLS where it said so. By TLS 1.3 a client has sent its
   * request before it is refused: a connection that ends before its first byte is taken for that.
   */
  | 'tls';

const NOT_CONNECTED: ReadonlySet<string> = new Set([
  'UND_ERR_CONNECT_TIMEOUT',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EADDRNOTAVAIL',
]);

/** Codes of OpenSSL, of Node's checks and of the alerts that a peer sends. */
const TLS_FAILURE =
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|INVALID_CA|HOSTNAME_|EPROTO)/;

/** A peer failed in a way that another peer may not. The message is for logs and holds no peer's free text. */
export class PeerError extends Error {
  override readonly name = 'PeerError';
  readonly code = 'ERR_PEER';
  readonly reason: PeerFailure;
  /** What the peer said of itself in an answer that was not good. */
  report?: PeerReport;

  constructor(reason: PeerFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** Makes a {@link PeerError} of whatever an HTTP exchange threw. */
export function toPeerError(error: unknown, fallback: PeerFailure): PeerError {
  if (error instanceof PeerError) return error;
  const code = codeOf(error) ?? '';
  let reason = fallback;
  if (NOT_CONNECTED.has(code)) reason = 'connect';
  else if (TLS_FAILURE.test(code)) reason = 'tls';
  else if (code.includes('TIMEOUT')) reason = 'timeout';
  else if (code.startsWith('HPE_')) reason = 'protocol';
  return new PeerError(reason, code === '' ? 'exchange failed' : code, { cause: error });
}
