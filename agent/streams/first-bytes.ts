import type { Readable } from 'node:stream';
import { destroyQuietly } from './destroy-quietly.ts';

/**
 * Resolves when the stream has bytes to read or has ended, without reading any. A caller that writes the head of an
 * answer only then can still use another source when this one fails at its start.
 *
 * @throws what the stream fails with; the signal's reason when that is aborted, with the stream destroyed
 */
export function firstBytes(stream: Readable, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: unknown): void => {
      stream
        .off('readable', onReady)
        .off('end', onReady)
        .off('close', onReady)
        .off('error', settle);
      signal.removeEventListener('abort', onAbort);
      if (error === undefined) resolve();
      else reject(error instanceof Error ? error : new Error('stream failed', { cause: error }));
    };
    const onReady = (): void => {
      settle();
    };
    const onAbort = (): void => {
      destroyQuietly(stream);
      settle(signal.reason);
    };
    stream.on('readable', onReady).on('end', onReady).on('close', onReady).on('error', settle);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    else if (stream.readableLength > 0 || stream.destroyed) onReady();
  });
}
