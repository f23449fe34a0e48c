import { Readable } from 'node:stream';

import { PeerError } from '../../transfer/client/peer-error.ts';

/** Longest line with the size of a chunk, its extensions included, in bytes. */
const MAX_LINE_BYTES = 1024;
const SIZE_LINE = /^([0-9a-f]{1,12})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/i;
const CRLF = '\r\n';

/**
 * The content of a body in chunks, out of the bytes of its connection, which serves no further request: trailers are not read.
 * It fails with a `PeerError`: `protocol` for what is no chunk, `body` where the connection ends before the last one.
 *
 * @see RFC 9112, section 7.1
 */
export class ChunkedBody extends Readable {
  readonly #source: Readable;
  /** What has come of a line. */
  #line = '';
  /** Bytes that are left of the chunk; undefined while a line is read, 0 behind the last one. */
  #left: number | undefined;
  #isFirst = true;

  /** @param source is destroyed with it */
  constructor(source: Readable) {
    super({ highWaterMark: 64 * 1024 });
    this.#source = source;
    source.on('data', (bytes: Buffer) => {
      this.#arrived(bytes);
    });
    source.on('error', (error) => {
      this.destroy(error);
    });
    source.on('end', () => {
      if (!this.#isOver()) this.destroy(new PeerError('body', 'body ended early'));
    });
    source.pause();
  }

  override _read(): void {
    this.#source.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#source.destroy();
    done(error);
  }

  #arrived(bytes: Buffer): void {
    // A stream may go on for some reads after it was destroyed.
    if (this.#isOver()) return;
    let at = 0;
    let isWanted = true;
    while (at < bytes.length && !this.destroyed) {
      if (this.#left === undefined) {
        at = this.#lineFrom(bytes, at);
        if (!this.#isOver()) continue;
        this.push(null);
        this.#source.destroy();
        return;
      }
      const chunk = bytes.subarray(at, at + this.#left);
      at += chunk.length;
      this.#left -= chunk.length;
      if (this.#left === 0) this.#left = undefined;
      isWanted = this.push(chunk);
    }
    if (!isWanted) this.#source.pause();
  }

  /** Reads on in a line. Returns where the chunk behind it begins, or the end of the bytes. */
  #lineFrom(bytes: Buffer, from: number): number {
    const end = bytes.indexOf('\n', from);
    const to = end < 0 ? bytes.length : end + 1;
    this.#line += bytes.toString('latin1', from, Math.min(to, from + MAX_LINE_BYTES + 1));
    // A chunk ends with an empty line.
    const prefix = this.#isFirst ? '' : CRLF;
    const isBegun = this.#line.startsWith(prefix.slice(0, this.#line.length));
    if (!isBegun || this.#line.length > MAX_LINE_BYTES) return this.#refuse();
    if (end < 0 || this.#line === prefix) return to;
    const text = this.#line.slice(prefix.length);
    const [, size] = text.endsWith(CRLF) ? (SIZE_LINE.exec(text.slice(0, -2)) ?? []) : [];
    if (size === undefined) return this.#refuse();
    [this.#line, this.#isFirst, this.#left] = ['', false, Number.parseInt(size, 16)];
    return to;
  }

  #isOver(): boolean {
    return this.#left === 0;
  }

  #refuse(): number {
    this.destroy(new PeerError('protocol', 'a body in chunks that are none'));
    return Infinity;
  }
}
