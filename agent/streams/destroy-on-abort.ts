import type { Readable } from 'node:stream';

/** Destroys the stream with the signal's reason on abort. Removes its listener when the stream closes. */
export function destroyOnAbort(stream: Readable, signal: AbortSignal): void {
  const abort = (): void => {
    const reason: unknown = signal.reason;
    stream.destroy(reason instanceof Error ? reason : new Error('Aborted', { cause: reason }));
  };
  if (signal.aborted) {
    abort();
    return;
  }
  signal.addEventListener('abort', abort, { once: true });
  stream.once('close', () => {
    signal.removeEventListener('abort', abort);
  });
}
