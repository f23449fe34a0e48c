import type { IncomingMessage, ServerResponse } from 'node:http';
import { Http2ServerResponse, constants, type Http2ServerRequest } from 'node:http2';
import type { Socket } from 'node:net';

type Done = () => void;

/**
 * A response by HTTP/2. It has what handlers use of the one by HTTP/1.1, which they take it for; where the two
 * differ the functions of this module are asked.
 */
export class Http2Response extends Http2ServerResponse {
  /** Bytes of the body that were written so far. */
  bytesWritten = 0;

  override write(chunk: string | Uint8Array, ...rest: never[]): boolean {
    this.bytesWritten += Buffer.byteLength(chunk);
    return super.write(chunk, ...rest);
  }

  override end(chunk?: string | Uint8Array | Done, ...rest: never[]): this {
    // The answer to a HEAD ends with its head, and Node.js takes a body for a write after the end.
    if (chunk !== undefined && typeof chunk !== 'function') {
      return super.end(...((this.req.method === 'HEAD' ? [] : [chunk, ...rest]) as never[]));
    }
    return super.end(...([chunk, ...rest] as never[]));
  }

  /** As handlers take it. */
  get asHttp1(): ServerResponse {
    return this as unknown as ServerResponse;
  }
}

/** How a request came, as the label `protocol`. */
export function protocolOf(req: IncomingMessage): 'http' | 'https' | 'h2' {
  if (req.httpVersionMajor === 2) return 'h2';
  return 'encrypted' in req.socket ? 'https' : 'http';
}

/** The connection of a response that has it for itself; undefined of one by HTTP/2, whose stream shares it. */
export function ownConnection(res: ServerResponse): Socket | undefined {
  return toHttp2(res) === undefined ? res.req.socket : undefined;
}

/** Bytes of a response that is closed, where they are not those of its connection. */
export function streamBytes(res: ServerResponse): number | undefined {
  return toHttp2(res)?.bytesWritten;
}

/** Whether the whole response went out. */
export function isSent(res: ServerResponse): boolean {
  const http2 = toHttp2(res);
  if (http2 === undefined) return res.writableFinished;
  const { writableFinished, rstCode } = http2.stream;
  return writableFinished && rstCode === constants.NGHTTP2_NO_ERROR;
}

/**
 * Ends a body before its declared length, so that the client goes on elsewhere: by FIN over HTTP/1.1, and by
 * `END_STREAM` over HTTP/2. Go tells either as an unexpected end, after which containerd resumes; a reset of
 * connection or stream is the end of the whole pull.
 */
export function breakOff(res: ServerResponse): void {
  const http2 = toHttp2(res);
  if (http2 !== undefined) http2.end();
  // Not `res.socket`, which a response that is not the first of its connection may not have yet.
  else res.req.socket.destroySoon();
}

/** A request by HTTP/2, as handlers take it. */
export function asHttp1(req: Http2ServerRequest): IncomingMessage {
  return req as unknown as IncomingMessage;
}

function toHttp2(res: unknown): Http2Response | undefined {
  return res instanceof Http2Response ? res : undefined;
}
