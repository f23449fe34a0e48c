import type { Readable } from 'node:stream';

/**
 * Destroys a stream whose failure does not matter any more. A stream that fails without a listener would end the
 * process, and undici has the body of a cancelled response fail.
 */
export function destroyQuietly(stream: Readable): void {
  stream.on('error', () => undefined).destroy();
}
