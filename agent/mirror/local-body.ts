import { read } from 'node:fs';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';

import { socketDescriptor, type Kernel } from '../native/kernel.ts';
import { rangeLength, type ByteRange } from '../oci/byte-range.ts';
import type { OpenBlob } from '../store/content-store.ts';
import { firstBytes } from '../streams/first-bytes.ts';
import type { Pace } from './peer-uploads.ts';
import { moveFileBody, sendBody } from '../http/respond.ts';

/**
 * Bodies below this length, in bytes, go as streams: they are one read and one write, and calling the kernel
 * takes a thread twice.
 */
const LEAST_TO_MOVE = 256 * 1024;

/** Bytes that are read before the head is written, to know that the disk can be read; they go with the head. */
const FIRST_BYTES = 4 * 1024;

/** Sends a body whose head has been written; see {@link sendBody}. */
export type BodySender = (
  res: ServerResponse,
  signal: AbortSignal,
  onSent: (bytes: number) => void,
) => Promise<void>;

/** How a body may go. */
interface LocalBodyWay {
  /** Undefined where bytes are to go as a stream; a body that is paced does. */
  readonly kernel: Kernel | undefined;
  /** Undefined where the body has no connection for itself. */
  readonly socket: Socket | undefined;
  readonly pace?: Pace;
}

/** Whether the kernel is to be asked to move the bytes: a long part of a file. */
export function isWorthMoving(blob: OpenBlob, range: ByteRange): boolean {
  return blob.fd !== undefined && rangeLength(range) >= LEAST_TO_MOVE;
}

/**
 * Makes sure that a local blob can be read, and gives the way to send it: from the file to the socket within the
 * kernel where there is such a way, else as a stream.
 *
 * @throws what the first read fails with; the signal's reason when that is aborted
 */
export async function openLocalBody(
  blob: OpenBlob,
  range: ByteRange,
  { kernel, socket, pace = (body) => body }: LocalBodyWay,
  signal: AbortSignal,
): Promise<BodySender> {
  const { fd } = blob;
  const movable = kernel !== undefined && socketDescriptor(socket) !== undefined;
  if (fd === undefined || socket === undefined || !movable) {
    const stream = blob.stream(range, signal);
    await firstBytes(stream, signal);
    return (res, aborted, onSent) => sendBody(res, pace(stream, aborted), aborted, onSent);
  }
  const first = await readSome(fd, range.start, Math.min(FIRST_BYTES, rangeLength(range)));
  signal.throwIfAborted();
  const rest = { start: range.start + first.length, end: range.end };
  const part = { fd, position: rest.start, length: rangeLength(rest) };
  return (res, aborted, onSent) =>
    moveFileBody(
      res,
      {
        first,
        move: (onMoved) => kernel.sendFile(part, socket, onMoved, aborted),
        instead: () => blob.stream(rest, aborted),
      },
      aborted,
      onSent,
    );
}

async function readSome(fd: number, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length);
  const { bytesRead } = await promisify(read)(fd, buffer, 0, length, position);
  if (bytesRead === 0) throw new Error("The blob's file ends before the range");
  return buffer.subarray(0, bytesRead);
}
