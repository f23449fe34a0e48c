import type { ServerResponse } from 'node:http';

import type { Sink } from '../native/sink.ts';
import { WrongBodyError } from '../streams/wrong-body-error.ts';
import { breakOff, reset } from './http2-response.ts';
import { addMovedBytes } from './moved-bytes.ts';

/**
 * Sends a body as chunks, at the client's pace. The head has been written.
 *
 * When the body fails, the response ends after the bytes that were sent, in the way that containerd resumes from; see
 * {@link breakOff}. A body that fails with {@link WrongBodyError} ends by a {@link reset}.
 *
 * @param signal aborted when the client leaves
 * @param onSent called for each chunk that is handed to the connection
 * @param ended aborted when the body is going to fail, so that the client is not waited for
 * @throws what the body failed with, after the response was ended
 */
export async function sendBody(
  res: ServerResponse,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  onSent: (bytes: number) => void,
  ended?: AbortSignal,
): Promise<void> {
  const until = ended === undefined ? signal : AbortSignal.any([signal, ended]);
  try {
    for await (const chunk of body) {
      if (signal.aborted) return;
      onSent(chunk.length);
      if (!res.write(chunk)) await drained(res, until);
    }
    res.end();
  } catch (error) {
    if (signal.aborted) return;
    endEarly(res, error);
    throw error;
  }
}

/**
 * Has a body moved to the connection within the kernel, as {@link sendBody} sends it. The response must have a plain
 * connection for itself.
 *
 * @param moveTo moves the bytes; resolves when all of them are there, or when the client has closed the connection
 * @throws what the body failed with, after the response was ended
 */
export async function moveBody(
  res: ServerResponse,
  moveTo: (sink: Sink) => Promise<void>,
  signal: AbortSignal,
  onSent: (bytes: number) => void,
): Promise<void> {
  const { socket } = res.req;
  try {
    await moveTo({
      socket,
      async write(bytes) {
        onSent(bytes.length);
        await handedOver(res, bytes, signal);
      },
      moved(bytes) {
        noteMoved(res, bytes);
        onSent(bytes);
      },
    });
    if (!signal.aborted && !socket.destroyed) res.end();
  } catch (error) {
    if (signal.aborted) return;
    endEarly(res, error);
    throw error;
  }
}

/**
 * Sends a body that is in memory. Resolves when the client has it, or has left.
 *
 * @param signal aborted when the client leaves
 * @param overdue aborted when the client takes too long; the connection is closed then
 */
export async function sendWhole(
  res: ServerResponse,
  bytes: Uint8Array,
  signal: AbortSignal,
  overdue: AbortSignal | undefined,
): Promise<void> {
  if (signal.aborted) return;
  const closed = new Promise<void>((resolve) => {
    res.once('close', resolve);
  });
  overdue?.addEventListener('abort', () => res.destroy());
  res.end(bytes);
  await closed;
}

function endEarly(res: ServerResponse, error: unknown): void {
  if (error instanceof WrongBodyError) reset(res);
  else breakOff(res);
}

function noteMoved(res: ServerResponse, bytes: number): void {
  const { socket } = res.req;
  addMovedBytes(res, bytes);
  // Node.js does not see these bytes, and would take the connection for idle.
  socket.setTimeout(socket.timeout ?? 0);
}

/** Writes, and resolves when the system has taken all bytes written so far, or the client has left. */
function handedOver(res: ServerResponse, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done);
    res.write(bytes, done);
    if (signal.aborted) done();
  });
}

function drained(res: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      res.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    res.on('drain', done);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
