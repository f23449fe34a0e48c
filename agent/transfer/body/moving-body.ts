import { once } from 'node:events';
import type { Readable } from 'node:stream';

import { hasCode } from '../../errors/system-error.ts';
import type { Kernel } from '../../native/kernel.ts';
import { PipesSpentError } from '../../native/pipes.ts';
import type { Sink } from '../../native/sink.ts';
import { ReceiverError, SenderError, type MovedChunk } from '../../native/splice.ts';
import { rangeLength, type ByteRange } from '../../oci/byte-range.ts';
import { DirectBody } from '../client/direct/direct-body.ts';
import { PeerError } from '../client/peer-error.ts';
import type { PeerResponse } from '../client/peer-client.ts';

/**
 * Moves the body of one answer to the sink: within the kernel where its connection allows that, else as a stream. It is
 * a stream also when the process has too many open files or pipes. Yields after each chunk that the sink has taken.
 *
 * @throws the error of the body; the signal's reason when that is aborted, or when the receiver has left
 */
export async function* moveTo(
  { body, range }: Pick<PeerResponse, 'body' | 'range'>,
  sink: Sink,
  kernel: Kernel,
  signal: AbortSignal,
): AsyncGenerator<MovedChunk> {
  if (!(body instanceof DirectBody) || !body.isMovable) {
    yield* streamTo(body, sink);
    return;
  }
  const { socket, takeRead, left, silence, ...taken } = body.takeOver();
  const written = await writeRead(takeRead(), left, range, sink);
  if (written > 0) yield { length: written, waited: 0 };
  if (left === 0) return;
  try {
    const tap = sink.tap?.(left);
    const { optionalTap } = sink;
    const parts = { from: socket, to: sink.socket, length: left, silence, tap, optionalTap };
    let withheld = 0;
    for await (const chunk of kernel.splice(parts, signal)) {
      if (chunk.isWithheld) withheld = chunk.length;
      else sink.moved(chunk.length);
      yield chunk;
    }
    if (withheld > 0) sink.moved(withheld);
    taken.finished();
  } catch (error) {
    if (error instanceof PipesSpentError || hasCode(error, 'EMFILE', 'ENFILE')) {
      taken.backToStream();
      yield* streamTo(body, sink);
      return;
    }
    if (error instanceof SenderError) {
      throw new PeerError(error.reason === 'silent' ? 'timeout' : 'body', error.message, {
        cause: error,
      });
    }
    if (error instanceof ReceiverError) {
      // The client has left, and the signal is about to be aborted. The peer did nothing wrong.
      sink.socket.destroy();
      if (!signal.aborted) await once(signal, 'abort');
    }
    throw error;
  }
}

async function* streamTo(body: Readable, sink: Sink): AsyncGenerator<MovedChunk> {
  let waitStart = performance.now();
  for await (const chunk of body as AsyncIterable<Buffer>) {
    const waited = performance.now() - waitStart;
    await sink.write(chunk);
    yield { length: chunk.length, waited };
    waitStart = performance.now();
  }
}

/**
 * Writes the bytes that were read before the kernel took over. This is a function of its own, because a generator would
 * keep these bytes in memory for as long as it moves the others.
 */
async function writeRead(
  read: Buffer,
  left: number,
  range: ByteRange,
  sink: Sink,
): Promise<number> {
  if (read.length + left > rangeLength(range)) {
    throw new PeerError('protocol', 'more bytes than declared');
  }
  if (read.length > 0) await sink.write(read);
  return read.length;
}
