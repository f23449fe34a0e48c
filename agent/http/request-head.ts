import type { Http2ServerRequest } from 'node:http2';
import type { Socket } from 'node:net';

import { hasCode } from '../errors/system-error.ts';
import { OciError } from '../oci/errors.ts';

/** Largest request head, in bytes. Those of containerd have less than 2 KiB. */
export const MAX_HEADER_BYTES = 16 * 1024;

/** Pipelined requests that may wait on one connection. containerd pipelines none. */
export const MAX_PIPELINED = 8;

const HEAD_END = '\r\n\r\n';

/**
 * Closes a connection over which more requests come at once than may wait. Counting parsed requests would be too late:
 * the parser of Node.js first makes all requests of a chunk. A chunk of 64 KiB may have more than a thousand, which
 * take 3 MiB for each connection.
 */
export function refuseFloods(socket: Socket): void {
  const [parse] = socket.listeners('data');
  if (parse === undefined) return;
  socket.on('data', (chunk: Buffer) => {
    if (hasFlood(chunk)) socket.destroy();
    else parse.call(socket, chunk);
  });
  socket.off('data', parse as (chunk: Buffer) => void);
}

function hasFlood(chunk: Buffer): boolean {
  let ends = 0;
  for (let at = chunk.indexOf(HEAD_END); at >= 0; at = chunk.indexOf(HEAD_END, at + 1)) {
    ends += 1;
    if (ends > MAX_PIPELINED + 1) return true;
  }
  return false;
}

/** Whether the head of a request by HTTP/2 exceeds {@link MAX_HEADER_BYTES}. */
export function isTooLarge({ rawHeaders }: Http2ServerRequest): boolean {
  return rawHeaders.reduce((sum, text) => sum + text.length, 0) > MAX_HEADER_BYTES;
}

/** The answer to a head that is too large. */
export function headTooLarge(): OciError {
  return new OciError('REQUEST_TOO_LARGE', `more than ${MAX_HEADER_BYTES} bytes`);
}

/** The answer to bytes that the HTTP parser refused. */
export function malformed(error: Error): OciError {
  return hasCode(error, 'HPE_HEADER_OVERFLOW')
    ? headTooLarge()
    : new OciError('REQUEST_INVALID', 'not HTTP/1.1');
}

/** Whether the bytes that the HTTP parser refused begin a TLS handshake (RFC 8446, section 5.1). */
export function isHandshake(error: Error & { readonly rawPacket?: unknown }): boolean {
  const { rawPacket } = error;
  return Buffer.isBuffer(rawPacket) && rawPacket[0] === 22 && rawPacket[1] === 3;
}
