import type { IncomingMessage, ServerResponse } from 'node:http';

/**
 * How long a client that has closed its sending side may wait for the next byte of its answer, in milliseconds. It may
 * have left: the two cannot be distinguished before something is sent. Longer than peers are waited for.
 */
export const HALF_CLOSED_MS = 5_000;

/**
 * How long such a client waits for its answer until it gets an interim response (RFC 9110, section 15.2), and then another
 * one, in milliseconds. The system of a client that has left answers the first by a reset, which shows at the second.
 */
const INTERIM_MS = 100;
const INTERIM_RESPONSES = 2;

/** Responses whose clients have left when they close their sending side. */
const leaving = new WeakSet<ServerResponse>();

/**
 * Has a client count as one that has left when it closes its sending side during this answer, because the answer may wait
 * for long in its middle. To be called when the answer begins.
 */
export function leavesWhenClosed(res: ServerResponse): void {
  leaving.add(res);
}

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
    const mayLeave = req.headers.range !== undefined || leaving.has(res);
    const hasLeft = res.headersSent && mayLeave && !othersWait();
    if (hasLeft) {
      socket.end();
      return;
    }
    socket.setTimeout(timeout); // Counts from the last byte. Node.js then closes the connection.
    let sent = 0;
    const timer = setInterval(() => {
      if (!res.headersSent && req.httpVersion === '1.1') res.writeProcessing();
      sent += 1;
      if (sent === INTERIM_RESPONSES) clearInterval(timer);
    }, INTERIM_MS).unref();
    res.once('close', () => {
      clearInterval(timer);
    });
  };
  if (socket.readableEnded) {
    onEnd();
    return;
  }
  socket.once('end', onEnd);
  res.once('close', () => socket.off('end', onEnd));
}
