import { readSync } from 'node:fs';

import type { Pipe } from '../../native/pipes.ts';
import type { Sink } from '../../native/sink.ts';
import type { OptionalTap, Tap } from '../../native/tap.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import type { BodyTail } from '../../content/tail-writer.ts';

/** Bytes that are read from a pipe at once. */
const READ_BYTES = 64 * 1024;

/** Reads the answer as a stream, and gives each chunk to the tail before it is forwarded. */
export async function* tailedStream(
  { body, range }: PeerResponse,
  tail: BodyTail,
): AsyncGenerator<Uint8Array> {
  let offset = range.start;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    // A peer may send more than it has declared: those bytes are not forwarded.
    const bytes = chunk.subarray(0, Math.max(0, range.end + 1 - offset));
    if (tail.isWanted && bytes.length > 0) tail.append(offset, bytes);
    offset += chunk.length;
    yield chunk;
  }
}

/** Forwards one answer, and gives to the tail what was forwarded, while that is wanted. */
export class TailedSink implements Sink {
  readonly optionalTap: OptionalTap;
  readonly #sink: Sink;
  readonly #tail: BodyTail;
  #offset: number;

  /** @param offset of the first byte of the answer in the content */
  constructor(sink: Sink, tail: BodyTail, offset: number) {
    this.#sink = sink;
    this.#tail = tail;
    this.#offset = offset;
    this.optionalTap = {
      get isWanted() {
        return tail.isWanted;
      },
      open: () => this.#open(),
    };
  }

  get socket(): Sink['socket'] {
    return this.#sink.socket;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#tail.isWanted) this.#tail.append(this.#offset, bytes);
    this.#offset += bytes.length;
    await this.#sink.write(bytes);
  }

  moved(bytes: number): void {
    this.#offset += bytes;
    this.#sink.moved(bytes);
  }

  /**
   * The bytes are read in this thread as soon as they have been forwarded. They are there, so that takes as long as
   * copying them: for 64 KiB some ten microseconds. And the pipe is never full, so it does not hold up the body.
   */
  #open(): Tap {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    let pipe: Pipe | undefined;
    // The sink counts them after this tap has got them.
    let offset = this.#offset;
    return {
      begin: (it) => {
        pipe = it;
      },
      passed: (bytes) => {
        for (let left = bytes; left > 0 && pipe !== undefined;) {
          const length = readSync(pipe.readEnd, buffer, 0, Math.min(left, READ_BYTES), null);
          this.#tail.append(offset, buffer.subarray(0, length));
          offset += length;
          left -= length;
        }
      },
      end: () => {
        pipe?.[Symbol.dispose]();
        pipe = undefined;
      },
    };
  }
}
