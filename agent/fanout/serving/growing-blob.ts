import { read } from 'node:fs';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';

import {
  LOCAL_ORIGIN,
  type ContentBase,
  type ContentStream,
  type Growth,
} from '../../content/content-source.ts';
import type { DataPlane } from '../../native/data-plane.ts';
import type { Kernel } from '../../native/kernel.ts';
import type { Sink } from '../../native/sink.ts';
import { rangeLength, type ByteRange } from '../../oci/byte-range.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { Ingest } from '../../store/ingests.ts';
import { raceSignal } from '../../timing/race-signal.ts';
import { Arrivals } from './arrivals.ts';
import type { Follower } from './follower.ts';
import type { TailChunk } from './tail/tail.ts';
import type { TailReader } from './tail/tails.ts';

/** Bodies below this length, in bytes, go as streams, as those of finished blobs do. */
const MIN_TO_MOVE = 256 * 1024;

/** Bytes that are written by the process behind the head of the answer: the kernel may write once they have been taken. */
const FIRST_BYTES = 4 * 1024;

/** What a {@link GrowingBlob} is read from. */
export interface GrowingBlobComponents {
  /** Held open until the content is disposed of. Its `total` is known. */
  readonly ingest: Ingest & { readonly total: number };
  /** Knows whether a download that was removed has been committed. */
  readonly store: Pick<ContentStore, 'stat'>;
  /** The place of the body among those that follow the download. Left when the content is disposed of. */
  readonly follower: Follower;
  /** What was forwarded to the client and is not in the file yet. Disposed of with the content. Default: there is none. */
  readonly tail?: TailReader;
  /** Gives the way within the kernel. It is asked late, because its first use loads a library. */
  readonly dataPlane?: Pick<DataPlane, 'kernel'>;
}

/**
 * A range of a blob that this node still receives: what is there goes at once, and the rest as it arrives. The bytes are
 * unverified. The body fails when the download is given up or begins anew, and goes on when it is committed.
 */
export class GrowingBlob implements ContentBase, ContentStream, Growth {
  readonly kind = 'stream';
  readonly origin = LOCAL_ORIGIN;
  readonly isGrowing = true;
  readonly descriptor: Descriptor;
  readonly held: AsyncDisposable;
  readonly #components: GrowingBlobComponents;
  readonly #range: ByteRange;
  readonly #signal: AbortSignal;
  readonly #arrivals: Arrivals;

  /**
   * @param range lies within the blob
   * @param signal ends the body
   */
  constructor(components: GrowingBlobComponents, range: ByteRange, signal: AbortSignal) {
    const { ingest, store, follower, tail } = components;
    const { digest, total: size } = ingest;
    this.descriptor = { mediaType: MEDIA_TYPE.binary, digest, size };
    this.#components = components;
    this.#range = range;
    this.#signal = AbortSignal.any([signal, follower.ended]);
    this.#arrivals = new Arrivals({ ingest, store, tail }, range, this.#signal);
    this.held = {
      async [Symbol.asyncDispose]() {
        follower[Symbol.dispose]();
        tail?.[Symbol.dispose]();
        await ingest[Symbol.asyncDispose]();
      },
    };
  }

  get growth(): Growth {
    return this;
  }

  get isWaiting(): boolean {
    return this.#arrivals.isWaiting;
  }

  get waits(): number {
    return this.#arrivals.waits;
  }

  get ended(): AbortSignal {
    return this.#components.follower.ended;
  }

  attach(socket: Socket): void {
    this.#components.follower.attach(socket);
  }

  get body(): AsyncIterable<Uint8Array> {
    return this.#chunks();
  }

  /** Absent for a short body, for a download that is in no file, and without a way within the kernel. */
  get moveTo(): ((sink: Sink) => Promise<void>) | undefined {
    const { ingest, dataPlane } = this.#components;
    const { fd } = ingest;
    if (fd === undefined || rangeLength(this.#range) < MIN_TO_MOVE) return undefined;
    const kernel = dataPlane?.kernel();
    return kernel && ((sink) => this.#move(kernel, fd, sink));
  }

  async *#chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    const { ingest, follower } = this.#components;
    for await (const part of this.#arrivals) {
      for await (const chunk of 'bytes' in part
        ? [copyOf(part)]
        : ingest.read(part, this.#signal)) {
        const { length } = chunk as Buffer;
        // By HTTP/2 the connection does not tell what waits in it. A chunk has gone when the next one is asked for.
        const isCounted = follower.isAttached;
        if (isCounted) follower.handed(length);
        yield chunk as Buffer;
        if (!isCounted) follower.handed(length);
      }
    }
  }

  async #move(kernel: Kernel, fd: number, sink: Sink): Promise<void> {
    const { follower } = this.#components;
    const onMoved = (bytes: number): void => {
      sink.moved(bytes);
      follower.handed(bytes);
    };
    let isFirst = true;
    for await (const part of this.#arrivals) {
      if ('bytes' in part) {
        await this.#write(sink, part.bytes);
        // The write is not waited for when the client leaves, and the system may still read the memory then.
        this.#signal.throwIfAborted();
        if (!sink.socket.destroyed) part[Symbol.dispose]();
      } else {
        let position = part.start;
        if (isFirst) {
          const first = await readFirst(fd, part);
          await this.#write(sink, first);
          position += first.length;
        }
        const rest = { fd, position, length: part.end + 1 - position };
        const moved = await kernel.sendFile(rest, sink.socket, onMoved, this.#signal);
        this.#signal.throwIfAborted();
        if (moved === 'unsupported') await this.#stream({ start: position, end: part.end }, sink);
        if (moved === 'closed') sink.socket.destroy();
      }
      isFirst = false;
      if (sink.socket.destroyed) return;
    }
  }

  async #stream(part: ByteRange, sink: Sink): Promise<void> {
    for await (const chunk of this.#components.ingest.read(part, this.#signal)) {
      await this.#write(sink, chunk as Buffer);
    }
  }

  async #write(sink: Sink, bytes: Buffer): Promise<void> {
    this.#components.follower.handed(bytes.length);
    await raceSignal(sink.write(bytes), this.#signal);
  }
}

async function readFirst(fd: number, range: ByteRange): Promise<Buffer> {
  const length = Math.min(FIRST_BYTES, rangeLength(range));
  const buffer = Buffer.allocUnsafeSlow(length);
  const { bytesRead } = await promisify(read)(fd, buffer, 0, length, range.start);
  if (bytesRead === 0) throw new Error('The file of the download has become shorter');
  return buffer.subarray(0, bytesRead);
}

/** A stream does not tell when the system has taken a chunk. */
function copyOf(chunk: TailChunk): Buffer {
  const bytes = Buffer.from(chunk.bytes);
  chunk[Symbol.dispose]();
  return bytes;
}
