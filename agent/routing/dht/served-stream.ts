import type { Stream } from '@libp2p/interface';

import { FrameReader } from './frame-reader.ts';

/**
 * How long a stream may be idle between two messages, in milliseconds. go-libp2p-kad-dht keeps one stream to a peer
 * for all its requests. After a few streams that the peer ended it opens a new one for each request. Our own nodes keep a
 * stream for half of this time.
 */
const IDLE_MS = 20 * 60_000;
/** How long a message may take from its first byte to its last, and the peer to read an answer, in milliseconds. */
export const MESSAGE_MS = 10_000;

/**
 * Serves an inbound stream of length-prefixed messages until the peer ends it, is idle for too long, or the router stops.
 *
 * @param maxBytes upper bound for the length of one message
 * @param stopped aborted when the router stops
 * @param answerAll answers one message after another until the reader has no more
 * @throws the error of `answerAll` or of the stream, which is aborted then
 */
export async function serveStream(
  stream: Stream,
  { maxBytes, stopped }: { readonly maxBytes: number; readonly stopped: AbortSignal },
  answerAll: (reader: FrameReader) => Promise<void>,
): Promise<void> {
  const onStop = (): void => {
    stream.abort(new Error('the router stops'));
  };
  stopped.addEventListener('abort', onStop);
  try {
    using reader = new FrameReader(stream, maxBytes, { idleMs: IDLE_MS, messageMs: MESSAGE_MS });
    await answerAll(reader);
    if (stream.remoteWriteStatus === 'writable') {
      // The stream was idle for too long. Closing it ends our side only: a Go node would go on writing records
      // that are never read.
      stream.abort(new Error('the stream was idle for too long'));
    } else {
      await stream.close();
    }
  } catch (error) {
    stream.abort(error instanceof Error ? error : new Error('cannot serve the stream'));
    throw error;
  } finally {
    stopped.removeEventListener('abort', onStop);
  }
}
