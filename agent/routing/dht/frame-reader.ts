import type { Stream, StreamCloseEvent, StreamMessageEvent } from '@libp2p/interface';

import { FrameDecoder, FrameError } from './frames.ts';

/** Bytes of unread messages above which the stream is paused. */
const MAX_UNREAD_BYTES = 64 * 1024;

/** Timeouts of a {@link FrameReader}, in milliseconds. Without them the owner of the reader ends the wait. */
export interface FrameReaderInit {
  /** From the end of one message to the first byte of the next. */
  readonly idleMs: number;
  /** From the first byte of a message to its last, whatever arrives in between. */
  readonly messageMs: number;
}

/**
 * Reads length-prefixed messages from a stream. It listens from its construction on, so that no answer is lost
 * that arrives before the first {@link next}. It pauses the stream while many bytes wait to be read. Dispose of
 * it to stop listening. The wait for a silent peer ends by `stream.abort()` or by the timeouts.
 */
export class FrameReader {
  readonly #stream: Stream;
  readonly #decoder: FrameDecoder;
  readonly #timeouts: FrameReaderInit | undefined;
  readonly #messages: Uint8Array[] = [];
  #unreadBytes = 0;
  #ended = false;
  #failure: Error | undefined;
  #wake = Promise.withResolvers<undefined>();
  #timer: NodeJS.Timeout | undefined;
  /** Whether the timer runs for an incomplete message. */
  #isTimingMessage = false;

  /** @param maxBytes upper bound for the length of one message, in bytes */
  constructor(stream: Stream, maxBytes: number, timeouts?: FrameReaderInit) {
    this.#stream = stream;
    this.#decoder = new FrameDecoder(maxBytes);
    this.#timeouts = timeouts;
    stream.addEventListener('message', this.#onMessage);
    stream.addEventListener('close', this.#onClose);
    stream.addEventListener('remoteCloseWrite', this.#onRemoteCloseWrite);
    this.#noticeEnd();
  }

  /**
   * Resolves with the next message, or with undefined when the peer has ended its side or was idle for too long.
   *
   * @throws {FrameError} when a message is too long or not complete in time; the stream's own error when it broke
   */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const message = this.#messages.shift();
      if (message !== undefined) {
        this.#unreadBytes -= message.length;
        return message;
      }
      this.#resume();
      // Resuming the stream may have delivered buffered bytes.
      if (this.#messages.length > 0) continue;
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#ended) return undefined;
      this.#startTimer();
      await this.#wake.promise;
    }
  }

  /** Whether the stream is open and no message waits to be read. */
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
        // An incomplete message at the end of this chunk is a new one, with time of its own.
        this.#isTimingMessage = false;
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

  /** Called when no message is complete. More bytes of the same message do not restart the timer. */
  #startTimer(): void {
    if (this.#timeouts === undefined) return;
    const { partial } = this.#decoder;
    if (partial && this.#isTimingMessage) return;
    this.#isTimingMessage = partial;
    clearTimeout(this.#timer);
    const { idleMs, messageMs } = this.#timeouts;
    this.#timer = setTimeout(
      () => {
        if (partial) this.#fail(new FrameError('the message was not complete in time'));
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

  // The peer may have ended its side before this reader listened; then no event comes.
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
