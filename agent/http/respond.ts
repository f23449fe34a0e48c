import { STATUS_CODES, type ServerResponse } from 'node:http';

import type { Moved } from '../native/kernel.ts';
import type { Sink } from '../native/sink.ts';
import { rangeLength, type ByteRange } from '../oci/byte-range.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { OciError } from '../oci/errors.ts';
import { breakOff } from './http2-response.ts';
import { addMovedBytes } from './moved-bytes.ts';

/** The head of an answer with content. */
export interface ContentHead {
  readonly descriptor: Descriptor;
  /** The interval to send; absent for all of it. */
  readonly range?: ByteRange;
  /** Echoed as `OCI-Namespace`; empty when it is not known. */
  readonly registry: string;
  /** Where it comes from, told as `X-Peerglass-Source`: `local` or the base URL of a peer. */
  readonly source: string;
}

/** Writes status and headers of an answer with content; nothing is sent before the body or the end. */
export function writeContentHead(res: ServerResponse, head: ContentHead): void {
  const { descriptor, range, registry, source } = head;
  res.setHeader('Docker-Content-Digest', descriptor.digest);
  res.setHeader('Content-Type', descriptor.mediaType);
  res.setHeader('Accept-Ranges', 'bytes');
  res.setHeader('X-Peerglass-Source', source);
  if (registry !== '') res.setHeader('OCI-Namespace', registry);
  if (range === undefined) {
    res.writeHead(200, { 'Content-Length': descriptor.size });
  } else {
    res.writeHead(206, {
      'Content-Length': rangeLength(range),
      'Content-Range': `bytes ${range.start}-${range.end}/${descriptor.size}`,
    });
  }
}

const ERROR_TYPE = 'application/json; charset=utf-8';

/** Answers with an error in the form of the specification; of a HEAD only status and headers. */
export function writeError(res: ServerResponse, error: OciError): void {
  const body = error.toBody();
  const allow = error.code === 'UNSUPPORTED' ? { Allow: 'GET, HEAD' } : {};
  res.writeHead(error.status, {
    'Content-Type': ERROR_TYPE,
    'Content-Length': Buffer.byteLength(body),
    ...allow,
  });
  res.end(body);
}

/** The same as it goes over the wire, to a client whose request could not be read; the connection is to be closed. */
export function rawError(error: OciError): string {
  const body = error.toBody();
  const head = [
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status] ?? ''}`,
    `Content-Type: ${ERROR_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  return `${head.join('\r\n')}\r\n\r\n${body}`;
}

/**
 * Sends a body, at the client's pace.
 *
 * When the source fails the body is ended after what was sent, in the way that containerd resumes from; see
 * {@link breakOff}.
 *
 * @param onSent told of each piece handed to the connection
 * @throws what the source threw, after the connection was ended
 */
export async function sendBody(
  res: ServerResponse,
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  onSent: (bytes: number) => void,
): Promise<void> {
  try {
    for await (const chunk of body) {
      if (signal.aborted) return;
      onSent(chunk.length);
      if (!res.write(chunk)) await drained(res, signal);
    }
    res.end();
  } catch (error) {
    if (signal.aborted) return;
    breakOff(res);
    throw error;
  }
}

/**
 * Sends a body that is all there; resolves when the client has it, or has left.
 *
 * @param signal aborted when the client leaves
 * @param overdue aborted when the client is to be given up
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

/** A body that the kernel sends from a file. */
export interface FileBody {
  /** What goes before, with the head. */
  readonly first: Uint8Array;
  /** Moves the rest; see {@link Moved}. The connection is not to be written to meanwhile. */
  readonly move: (onMoved: (bytes: number) => void) => Promise<Moved>;
  /** The rest as a stream, in case that the kernel cannot. */
  readonly instead: () => AsyncIterable<Uint8Array>;
}

/**
 * Like {@link sendBody}, within the kernel.
 *
 * @throws what the source failed with, after the connection was ended
 */
export async function moveFileBody(
  res: ServerResponse,
  { first, move, instead }: FileBody,
  signal: AbortSignal,
  onSent: (bytes: number) => void,
): Promise<void> {
  onSent(first.length);
  await handedOver(res, first, signal);
  const { socket } = res.req;
  let moved: Moved;
  try {
    moved = await move((bytes) => {
      noteMoved(res, bytes);
      onSent(bytes);
    });
  } catch (error) {
    if (signal.aborted) return;
    breakOff(res);
    throw error;
  }
  if (moved === 'unsupported') await sendBody(res, instead(), signal, onSent);
  else if (moved === 'closed') socket.destroy();
  else if (moved === 'all') res.end();
}

/**
 * Has a body moved to the client, like {@link sendBody}.
 *
 * @throws what the source failed with, after the connection was ended
 */
export async function moveBody(
  res: ServerResponse,
  moveTo: (sink: Sink) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  try {
    await moveTo({
      socket: res.req.socket,
      write: (bytes) => handedOver(res, bytes, signal),
      moved: (bytes) => {
        noteMoved(res, bytes);
      },
    });
    res.end();
  } catch (error) {
    if (signal.aborted) return;
    breakOff(res);
    throw error;
  }
}

function noteMoved(res: ServerResponse, bytes: number): void {
  const { socket } = res.req;
  addMovedBytes(res, bytes);
  // Node.js does not see these bytes: without this it would take the connection for idle.
  socket.setTimeout(socket.timeout ?? 0);
}

/** Writes, and resolves when all that was ever written has been handed to the system, or the client has left. */
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
