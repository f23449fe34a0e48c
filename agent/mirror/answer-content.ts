import type { ServerResponse } from 'node:http';

import type { Logger } from 'pino';

import type { Content, ContentStream } from '../content/content-source.ts';
import { leavesWhenClosed } from '../http/half-close.ts';
import { ownConnection } from '../http/http2-response.ts';
import { IdleTime } from '../http/idle-time.ts';
import { moveBody, sendBody, sendWhole } from '../http/send-body.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { socketDescriptor } from '../native/kernel.ts';
import { rangeLength, resolveRange, type ByteRange } from '../oci/byte-range.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import { OciError } from '../oci/errors.ts';
import type { PeerUploads } from './peer-uploads.ts';
import type { RequestLog } from './pull-log.ts';
import { SlowClient } from './slow-client.ts';

/** A request for content, and the response to it. */
export interface Exchange {
  readonly request: ContentRequest;
  /** Whether the agent of another node asks. */
  readonly fromPeer: boolean;
  /** Whether the peer also takes content that is still arriving. Default: it does not. */
  readonly follows?: boolean;
  readonly res: ServerResponse;
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal;
  /** Learns what is sent. Default: nothing does. */
  readonly log?: RequestLog;
}

export interface AnswerComponents {
  readonly uploads: PeerUploads;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/**
 * Answers a request with the content that a source gave. Resolves when all of it is sent, or the client has left.
 *
 * @returns `false` when the content cannot be read; nothing has been sent then, and another source may have it
 * @throws OciError `RANGE_INVALID`, and what `PeerUploads.begin` throws, before the head is written
 * @throws what the body failed with, after the response was ended
 */
export async function answerContent(
  content: Content,
  exchange: Exchange,
  components: AnswerComponents,
): Promise<boolean> {
  const { request, res, fromPeer, signal } = exchange;
  const range = rangeToSend(request, content, res);
  const writeHead = (): void => {
    exchange.log?.from(content.origin);
    writeContentHead(res, content, request, range);
  };
  const onSent = (bytes: number): void => {
    exchange.log?.sent(bytes);
    if (fromPeer) components.metrics.peerBytes.inc({ direction: 'sent' }, bytes);
  };
  switch (content.kind) {
    case 'head':
      writeHead();
      res.end();
      return true;
    case 'whole': {
      const bytes = range ? content.bytes.subarray(range.start, range.end + 1) : content.bytes;
      writeHead();
      if (bytes.length > 0) onSent(bytes.length);
      if (components.uploads.isBounded(exchange)) components.uploads.charge(bytes.length);
      const { reservation } = content;
      // Only reserved memory has to wait for the client.
      if (reservation === undefined) res.end(bytes);
      else await sendWhole(res, bytes, signal, reservation.overdue);
      return true;
    }
    case 'stream':
      return await answerStream(content, exchange, components, writeHead, onSent);
  }
}

async function answerStream(
  content: Content & ContentStream,
  exchange: Exchange,
  { uploads, logger }: AnswerComponents,
  writeHead: () => void,
  onSent: (bytes: number) => void,
): Promise<boolean> {
  const { digest } = content.descriptor;
  const { res, signal } = exchange;
  const isBounded = uploads.isBounded(exchange);
  using upload = isBounded ? await uploads.begin(digest, exchange, signal) : undefined;
  const pace = upload?.pace;
  const { growth } = content;
  const socket = ownConnection(res);
  const isPlain = socketDescriptor(socket) !== undefined;
  // Bytes that the kernel moves cannot be paced.
  const moveTo = isPlain && pace === undefined ? content.moveTo : undefined;
  try {
    await content.ready?.(moveTo === undefined ? 'body' : 'moveTo');
  } catch (error) {
    signal.throwIfAborted();
    logger.warn({ err: error, digest }, 'content cannot be read, the next source is tried');
    return false;
  }
  writeHead();
  // Node.js would send the head with the first byte, which may be long in coming.
  if (content.isGrowing === true) res.flushHeaders();
  if (socket !== undefined) growth?.attach(socket);
  using open = new DisposableStack();
  if (growth !== undefined) {
    leavesWhenClosed(res);
    open.use(new IdleTime(res, () => growth.isWaiting));
  }
  const isMoved = moveTo !== undefined;
  using client = upload && new SlowClient(res, { isMoved, ...(growth && { growth }) });
  const count = (bytes: number): void => {
    client?.sent(bytes);
    onSent(bytes);
  };
  if (moveTo !== undefined) {
    await moveBody(res, moveTo, signal, count);
  } else {
    const { body } = content;
    const paced = pace === undefined ? body : pace(body, signal);
    await sendBody(res, paced, signal, count, growth?.ended);
  }
  return true;
}

/**
 * The interval to send, or `undefined` for all of it.
 *
 * @throws OciError `RANGE_INVALID` when none of it exists; `Content-Range` is set then
 */
function rangeToSend(
  request: ContentRequest,
  { descriptor, isGrowing = false }: Content,
  res: ServerResponse,
): ByteRange | undefined {
  const { size } = descriptor;
  // containerd asks for `bytes=0-` of everything, also of empty blobs. That is no error: RFC 9110, section 14.2, lets
  // a server ignore a range.
  if (request.range === undefined || size === 0) return undefined;
  const range = resolveRange(request.range, size);
  // After a 206, containerd would fetch by many requests at once what arrives in its order.
  if (isGrowing && request.range.kind === 'from' && request.range.start === 0) return undefined;
  if (range === undefined) {
    res.setHeader('Content-Range', `bytes */${size}`);
    throw new OciError('RANGE_INVALID', `the content has ${size} bytes`);
  }
  return range;
}

/** Writes status and headers. Node.js sends them with the first bytes of the body, or with its end. */
function writeContentHead(
  res: ServerResponse,
  { descriptor, origin, isUnsized = false }: Content,
  { registry }: ContentRequest,
  range: ByteRange | undefined,
): void {
  res.setHeader('Docker-Content-Digest', descriptor.digest);
  res.setHeader('Content-Type', descriptor.mediaType);
  res.setHeader('Accept-Ranges', isUnsized ? 'none' : 'bytes');
  res.setHeader('X-Peerglass-Source', origin);
  if (registry !== '') res.setHeader('OCI-Namespace', registry);
  if (isUnsized) {
    res.writeHead(200);
  } else if (range === undefined) {
    res.writeHead(200, { 'Content-Length': descriptor.size });
  } else {
    res.writeHead(206, {
      'Content-Length': rangeLength(range),
      'Content-Range': `bytes ${range.start}-${range.end}/${descriptor.size}`,
    });
  }
}
