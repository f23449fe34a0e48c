/** Why a peer did not deliver; the label of `peerglass_peer_failures_total`. */
export type PeerFailure =
  'connect' | 'timeout' | 'not-found' | 'status' | 'range' | 'protocol' | 'digest' | 'body';

/** A peer failed in a way that another peer may not. The message is for logs and holds no peer's free text. */
export class PeerError extends Error {
  override readonly name = 'PeerError';
  readonly code = 'ERR_PEER';
  readonly reason: PeerFailure;

  constructor(reason: PeerFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/** Makes a {@link PeerError} of whatever an HTTP exchange threw. */
export function toPeerError(error: unknown, fallback: PeerFailure): PeerError {
  if (error instanceof PeerError) return error;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  const timedOut = code.includes('TIMEOUT') || code === 'ETIMEDOUT';
  return new PeerError(timedOut ? 'timeout' : fallback, code === '' ? 'exchange failed' : code, {
    cause: error,
  });
}
