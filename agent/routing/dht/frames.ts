import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface';

/** Bytes of unread messages from which on the peer is made to wait. */
const MAX_UNREAD_BYTES = 64 * 1024;

/** A peer sent more, or something else, than the protocol allows. */
export class FrameError extends Error {
  override readonly name = 'FrameError';
  readonly code = 'ERR_FRAME';
}

/** Unsigned LEB128, as protobuf and libp2p's length prefixes have it. */
export function encodeVarint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return bytes;
}

/** The message with its length before it. */
export function frame(message: Uint8Array): Uint8Array {
  const prefix = encodeVarint(message.length);
  const framed = new Uint8Array(prefix.length + message.length);
  framed.set(prefix);
  framed.set(message, prefix.length);
  return framed;
}

/** Cuts a stream of bytes into length-prefixed messages, none longer than `maxBytes`. */
export class FrameDecoder {
  readonly #maxBytes: number;
  /** What is not read yet; put together only once there is enough, or each chunk would copy all before it. */
  #chunks: Uint8Array[] = [];
  #length = 0;
  /** Bytes without which there is no further message. */
  #needed = 1;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Whether a part of a message has come, and the rest has not. */
  get partial(): boolean {
    return this.#length > 0;
  }

  /**
   * Takes the next bytes and gives the messages that they complete.
   *
   * @throws {FrameError} for a message that is too long or a length that is no length.
   */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    const messages: Uint8Array[] = [];
    if (this.#length < this.#needed) return messages;
    let buffer = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks, this.#length);
    for (;;) {
      const prefix = this.#readLength(buffer);
      const end = prefix === undefined ? buffer.length + 1 : prefix.size + prefix.length;
      if (prefix === undefined || buffer.length < end) {
        this.#chunks = buffer.length === 0 ? [] : [buffer];
        this.#length = buffer.length;
        this.#needed = end;
        return messages;
      }
      messages.push(buffer.subarray(prefix.size, end));
      buffer = buffer.subarray(end);
    }
  }

  #readLength(buffer: Uint8Array): { length: number; size: number } | undefined {
    let length = 0;
    for (let size = 0; size < buffer.length; size++) {
      const byte = buffer[size] ?? 0;
      length += (byte & 0x7f) * 2 ** (7 * size);
      if (length > this.#maxBytes || size > 4) throw new FrameError('message too long');
      if (byte < 0x80) return { length, size: size + 1 };
    }
    return undefined;
  }
}

/** How long a {@link FrameReader} waits, in milliseconds; without bounds it is for its owner to end. */
export interface FrameReaderInit {
  /** From one message to the beginning of the next. */
  readonly idleMs: number;
  /** From the beginning of a message to its end, however it drips. */
  readonly messageMs: number;
}

/**
 * Reads length-prefixed messages from a stream. It listens from its construction on, so that an answer is
 * not missed that comes before the first {@link next}, and pauses the stream while messages wait to be read;
 * dispose of it to stop listening. What ends the wait for a peer that says nothing is `stream.abort()`, or
 * the times of its options.
 */
export class FrameReader {
  readonly #stream: Stream;
  readonly #decoder: FrameDecoder;
  readonly #times: FrameReaderInit | undefined;
  readonly #messages: Uint8Array[] = [];
  #unreadBytes = 0;
  #ended = false;
  #failure: Error | undefined;
  #wake = Promise.withResolvers<undefined>();
  #timer: NodeJS.Timeout | undefined;
  #timedPart = false;

  constructor(stream: Stream, maxBytes: number, times?: FrameReaderInit) {
    this.#stream = stream;
    this.#decoder = new FrameDecoder(maxBytes);
    this.#times = times;
    stream.addEventListener('message', this.#onMessage);
    stream.addEventListener('close', this.#onClose);
    stream.addEventListener('remoteCloseWrite', this.#onRemoteCloseWrite);
    this.#noticeEnd();
  }

  /**
   * The next message, or undefined when the peer has ended its side.
   *
   * @throws {FrameError} for a message that is too long, or not there in time; the stream's own error when
   *   it broke.
   */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        this.#unreadBytes -= message.length;
        return message;
      }
      this.#resume();
      // What had been held back may be there by now.
      if (this.#messages.length > 0) continue;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return undefined;
      this.#watchTime();
      await this.#wake.promise;
    }
  }

  /** Whether there may be more messages, and none is there now. */
  get idle(): boolean {
    return !this.#ended && this.#failure === undefined && this.#messages.length === 0;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#stream.removeEventListener('message', this.#onMessage);
    this.#stream.removeEventListener('close', this.#onClose);
    this.#stream.removeEventListener('remoteCloseWrite', this.#onRemoteCloseWrite);
  }

  readonly #onMessage = ({ data }: StreamMessageEvent): void => {
    if (this.#failure !== undefined) return;
    try {
      for (const message of this.#decoder.push(data.subarray())) {
        this.#messages.push(message);
        this.#unreadBytes += message.length;
        // A part at the end of a burst is that of another message.
        this.#timedPart = false;
        clearTimeout(this.#timer);
      }
      if (this.#unreadBytes > MAX_UNREAD_BYTES && this.#stream.readStatus === 'readable') {
        this.#stream.pause();
      }
    } catch (error) {
      this.#fail(error instanceof Error ? error : new FrameError(String(error)));
    }
    this.#noticeEnd();
    this.#wakeUp();
  };

  readonly #onClose = ({ error }: StreamCloseEvent): void => {
    this.#ended = true;
    this.#failure ??= error;
    this.#wakeUp();
  };

  readonly #onRemoteCloseWrite = (): void => {
    this.#noticeEnd();
    this.#wakeUp();
  };

  #resume(): void {
    if (this.#stream.readStatus === 'paused') this.#stream.resume();
    this.#noticeEnd();
  }

  /** Called when nothing is there to be read. A part of a message does not start the time anew. */
  #watchTime(): void {
    if (this.#times === undefined) return;
    const { partial } = this.#decoder;
    if (partial && this.#timedPart) return;
    this.#timedPart = partial;
    clearTimeout(this.#timer);
    const { idleMs, messageMs } = this.#times;
    this.#timer = setTimeout(
      () => {
        if (partial) this.#fail(new FrameError('the message did not come to its end in time'));
        else this.#ended = true;
        this.#wakeUp();
      },
      partial ? messageMs : idleMs,
    );
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#messages.length = 0;
  }

  // The peer may have ended its side before we listened, and then no event tells so.
  #noticeEnd(): void {
    if (this.#stream.remoteWriteStatus !== 'writable' && this.#stream.readBufferLength === 0) {
      this.#ended = true;
    }
  }

  #wakeUp(): void {
    this.#wake.resolve(undefined);
    this.#wake = Promise.withResolvers();
  }
}
