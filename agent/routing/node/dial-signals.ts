import type { Transport } from '@libp2p/interface';

/**
 * Gives each dial of the transport an abort signal of its own, which follows that of the caller until the dial has ended.
 *
 * Node.js never takes its listener off the signal that a socket was made with, so the socket keeps that signal and all that
 * hangs on it for as long as it is open: the other tries of the same dial with their closed sockets, and libp2p's job.
 */
export function withOwnDialSignals(transport: Transport): Transport {
  const dial = transport.dial.bind(transport);
  transport.dial = async (address, options) => {
    const { signal } = options;
    const own = new AbortController();
    const follow = (): void => {
      own.abort(signal.reason);
    };
    if (signal.aborted) follow();
    signal.addEventListener('abort', follow);
    try {
      return await dial(address, { ...options, signal: own.signal });
    } finally {
      signal.removeEventListener('abort', follow);
    }
  };
  return transport;
}
