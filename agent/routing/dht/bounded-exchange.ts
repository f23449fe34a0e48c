import type { Stream } from '@libp2p/interface';

/**
 * Runs an exchange of messages on a stream. The stream is aborted when the signal aborts, which ends every read
 * and write of the exchange, and when the exchange fails.
 *
 * @throws the error of the exchange; after an abort by the signal, the error that the stream then reports
 */
export async function boundedExchange<T>(
  stream: Stream,
  exchange: () => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  const onAbort = (): void => {
    stream.abort(new Error('the peer did not answer in time'));
  };
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort);
  try {
    return await exchange();
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error('the exchange failed'));
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
