import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  Http2ServerResponse,
  constants,
  type Http2ServerRequest,
  type Http2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';

type Done = () => void;

/**
 * A response by HTTP/2. Handlers use it as a response by HTTP/1.1, because it has all that they need of one. The
 * functions of this module answer where the two differ.
 */
export class Http2Response extends Http2ServerResponse {
  /** Bytes of the body that have been written so far. */
  bytesWritten = 0;

  override write(chunk: string | Uint8Array, ...rest: never[]): boolean {
    this.bytesWritten += Buffer.byteLength(chunk);
    return super.write(chunk, ...rest);
  }

  override end(chunk?: string | Uint8Array | Done, ...rest: never[]): this {
    // The answer to a HEAD ends with its head. Node.js reports a body as a write after the end.
    if (chunk !== undefined && typeof chunk !== 'function') {
      return super.end(...((this.req.method === 'HEAD' ? [] : [chunk, ...rest]) as never[]));
    }
    return super.end(...([chunk, ...rest] as never[]));
  }

  /** The same response, as the type that handlers take. */
  get asHttp1(): ServerResponse {
    return this as unknown as ServerResponse;
  }
}

/** The protocol of a request, as the metric label `protocol`. */
export function protocolOf(req: IncomingMessage): 'http' | 'https' | 'h2' {
  if (req.httpVersionMajor === 2) return 'h2';
  return 'encrypted' in req.socket ? 'https' : 'http';
}

/** The connection of a response by HTTP/1.1; `undefined` by HTTP/2, where several streams share a connection. */
export function ownConnection(res: ServerResponse): Socket | undefined {
  return toHttp2(res) === undefined ? res.req.socket : undefined;
}

/** The stream of a response by HTTP/2; `undefined` by HTTP/1.1. */
export function http2Stream(res: ServerResponse): Http2Stream | undefined {
  return toHttp2(res)?.stream;
}

/** Bytes of the body of a response by HTTP/2; `undefined` by HTTP/1.1, where the socket counts them. */
export function streamBytes(res: ServerResponse): number | undefined {
  return toHttp2(res)?.bytesWritten;
}

/** Whether the whole response has been sent. */
export function isSent(res: ServerResponse): boolean {
  const http2 = toHttp2(res);
  if (http2 === undefined) return res.writableFinished;
  const { writableFinished, rstCode } = http2.stream;
  return writableFinished && rstCode === constants.NGHTTP2_NO_ERROR;
}

/**
 * Ends a body before its declared length, so that the client resumes elsewhere: by FIN over HTTP/1.1, and by
 * `END_STREAM` over HTTP/2. Go reports both as an unexpected end of the body, after which containerd resumes. A reset
 * of the connection or stream would fail the whole pull.
 */
export function breakOff(res: ServerResponse): void {
  const http2 = toHttp2(res);
  if (http2 !== undefined) http2.end();
  // Not `res.socket`: a response that waits for others of its connection may not have it yet.
  else res.req.socket.destroySoon();
}

/**
 * Ends a body whose bytes are wrong, so that the client cannot go on from them: by a reset of the connection over
 * HTTP/1.1, and of the stream over HTTP/2. Go reports both as errors after which containerd fails the pull.
 */
export function reset(res: ServerResponse): void {
  const http2 = toHttp2(res);
  if (http2 !== undefined) {
    http2.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    return;
  }
  const { socket } = res.req;
  // A connection with TLS is closed by an alert, which a client takes for an end: the one below it is reset. That is not
  // in the public interface of Node.js.
  const { _parent: below } = socket as Socket & { readonly _parent?: Socket | null };
  if ('encrypted' in socket) below?.resetAndDestroy();
  else socket.resetAndDestroy();
  socket.destroy();
}

/** Whether bytes of the response wait for the client to take them. */
export function waitsForClient(res: ServerResponse): boolean {
  return (toHttp2(res)?.stream ?? res).writableLength > 0;
}

/** Ends a response at once, without the bytes that the client has not taken. Over HTTP/1.1 the connection ends by FIN. */
export function cutOff(res: ServerResponse): void {
  const http2 = toHttp2(res);
  if (http2 !== undefined) http2.stream.close(constants.NGHTTP2_CANCEL);
  else res.req.socket.destroy();
}

/** A request by HTTP/2, as the type that handlers take. */
export function asHttp1(req: Http2ServerRequest): IncomingMessage {
  return req as unknown as IncomingMessage;
}

function toHttp2(res: unknown): Http2Response | undefined {
  return res instanceof Http2Response ? res : undefined;
}
