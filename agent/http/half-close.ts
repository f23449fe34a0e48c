import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * How long a client that has closed its sending side may wait for the next byte of its answer, in milliseconds. It may
 * have left: the two cannot be distinguished before something is sent. Longer than peers are waited for.
 */
export const HALF_CLOSED_MS = 5_000;

/**
 * Has a client get its answer although it closes its sending side after its request (RFC 9112, section 9.5). The server
 * must allow half-open connections.
 *
 * When the answer to a request for a range has begun, such a client counts as one that has left. containerd's parallel
 * fetch ends each of its requests this way when it has read enough, and a peer would be asked for more.
 *
 * @param timeout see {@link HALF_CLOSED_MS}
 * @param othersWait whether further requests of the connection wait for their answers
 */
export function serveHalfClosed(
  req: IncomingMessage,
  res: ServerResponse,
  timeout: number,
  othersWait: () => boolean,
): void {
  const { socket } = req;
  const onEnd = (): void => {
    const hasLeft = res.headersSent && req.headers.range !== undefined && !othersWait();
    if (hasLeft) socket.end();
    else socket.setTimeout(timeout); // Counts from the last byte. Node.js then closes the connection.
  };
  if (socket.readableEnded) {
    onEnd();
    return;
  }
  socket.once('end', onEnd);
  res.once('close', () => socket.off('end', onEnd));
}
