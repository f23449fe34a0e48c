import { read } from 'node:fs';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';

import type { DataPlane } from '../native/data-plane.ts';
import type { Kernel } from '../native/kernel.ts';
import type { Sink } from '../native/sink.ts';
import { rangeLength, type ByteRange } from '../oci/byte-range.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import type { OpenBlob } from '../store/content-store.ts';
import { firstBytes } from '../streams/first-bytes.ts';
import { LOCAL_ORIGIN, type ContentBase, type ContentStream } from './content-source.ts';

/**
 * Bodies below this length, in bytes, go as streams. They are one read and one write, and a call of the kernel takes
 * two turns of a thread.
 */
const MIN_TO_MOVE = 256 * 1024;

/** Bytes that are read before the head is written, to know that the disk can be read. They go out with the head. */
const FIRST_BYTES = 4 * 1024;

/** What a {@link LocalBlob} is read from. */
export interface LocalBlobComponents {
  /** Held open until the content is disposed of. */
  readonly blob: OpenBlob;
  /** Gives the way within the kernel. It is asked late, because its first use loads a library. */
  readonly dataPlane?: Pick<DataPlane, 'kernel'>;
}

/** A range of a blob of the local store: from the file to the connection within the kernel, or as a stream. */
export class LocalBlob implements ContentBase, ContentStream {
  readonly kind = 'stream';
  readonly origin = LOCAL_ORIGIN;
  readonly descriptor: Descriptor;
  readonly held: AsyncDisposable;
  readonly #blob: OpenBlob;
  readonly #dataPlane: Pick<DataPlane, 'kernel'> | undefined;
  readonly #range: ByteRange;
  readonly #signal: AbortSignal;
  #stream: Readable | undefined;
  #first: Buffer | undefined;

  /**
   * @param range lies within the blob
   * @param signal ends the body
   */
  constructor({ blob, dataPlane }: LocalBlobComponents, range: ByteRange, signal: AbortSignal) {
    this.descriptor = { mediaType: MEDIA_TYPE.binary, digest: blob.digest, size: blob.size };
    this.held = blob;
    this.#blob = blob;
    this.#dataPlane = dataPlane;
    this.#range = range;
    this.#signal = signal;
  }

  get body(): Readable {
    this.#stream ??= this.#blob.stream(this.#range, this.#signal);
    return this.#stream;
  }

  /** Absent for a short body, for a blob that is no file, and without a way within the kernel. */
  get moveTo(): ((sink: Sink) => Promise<void>) | undefined {
    const { fd } = this.#blob;
    if (fd === undefined || rangeLength(this.#range) < MIN_TO_MOVE) return undefined;
    const kernel = this.#dataPlane?.kernel();
    return kernel && ((sink) => this.#move(kernel, fd, sink));
  }

  /**
   * Reads the first bytes.
   *
   * @throws what the read fails with; the signal's reason when that is aborted
   */
  async ready(way: 'body' | 'moveTo'): Promise<void> {
    const { fd } = this.#blob;
    if (way === 'body' || fd === undefined) {
      await firstBytes(this.body, this.#signal);
      return;
    }
    this.#first = await readFirst(fd, this.#range);
    this.#signal.throwIfAborted();
  }

  async #move(kernel: Kernel, fd: number, sink: Sink): Promise<void> {
    const first = this.#first ?? (await readFirst(fd, this.#range));
    await sink.write(first);
    const rest = { start: this.#range.start + first.length, end: this.#range.end };
    const part = { fd, position: rest.start, length: rangeLength(rest) };
    const onMoved = sink.moved.bind(sink);
    const moved = await kernel.sendFile(part, sink.socket, onMoved, this.#signal);
    if (moved === 'closed') sink.socket.destroy();
    if (moved !== 'unsupported') return;
    for await (const chunk of this.#blob.stream(rest, this.#signal)) {
      await sink.write(chunk as Buffer);
    }
  }
}

async function readFirst(fd: number, range: ByteRange): Promise<Buffer> {
  const length = Math.min(FIRST_BYTES, rangeLength(range));
  const buffer = Buffer.allocUnsafeSlow(length);
  const { bytesRead } = await promisify(read)(fd, buffer, 0, length, range.start);
  if (bytesRead === 0) throw new Error("The blob's file ends before the range");
  return buffer.subarray(0, bytesRead);
}
