import type { Readable } from 'node:stream';

/**
 * Destroys a stream whose failure no longer matters. A stream that fails without a listener would end the process, and
 * undici fails the body of a response that is cancelled.
 */
export function destroyQuietly(stream: Readable): void {
  stream.on('error', () => undefined).destroy();
}
