import { connect, type Socket } from 'node:net';

import { PeerError } from '../peer-error.ts';
import { DirectBody } from './direct-body.ts';
import { parseResponseHead, type ResponseHead } from './response-head.ts';

/** Largest response head that a peer may send, in bytes. */
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * Bytes that one read may bring: few until somebody reads on, since the kernel moves most bodies but for what came
 * with their head, and each connection keeps the memory for its next read; then more.
 */
const READ_BYTES = { first: 16 * 1024, then: 64 * 1024 } as const;

/** Reads of an answer that are short ones. */
const FIRST_READS = 2;

const EMPTY = Buffer.alloc(0);

/** Where and how a {@link DirectConnection} is made. */
export interface DirectConnectionInit {
  readonly host: string;
  readonly port: number;
  /** Until the connection stands, in milliseconds. */
  readonly connectTimeout: number;
  /** See {@link DirectBody}. */
  readonly stallTimeout: number;
  /** A response is over, and the connection is free. */
  readonly onFree: (connection: DirectConnection) => void;
  /** The connection has ended. */
  readonly onClose: (connection: DirectConnection) => void;
}

/** A response whose head has arrived. */
export interface DirectResponse extends Pick<ResponseHead, 'statusCode' | 'headers'> {
  readonly body: DirectBody;
}

/** A connection to a peer, one request at a time, whose bytes are read only as they are asked for. */
export class DirectConnection {
  readonly #init: DirectConnectionInit;
  readonly #socket: Socket;
  readonly #timer: NodeJS.Timeout;
  #head: Buffer = EMPTY;
  #reads = 0;
  #answer: PromiseWithResolvers<DirectResponse> | undefined;
  #body: DirectBody | undefined;
  #used = 0;
  #error: Error | undefined;

  constructor(init: DirectConnectionInit) {
    this.#init = init;
    const { host, port, connectTimeout } = init;
    this.#socket = connect({
      host,
      port,
      noDelay: true,
      // Read without the buffer of a stream: what is not asked for stays with the kernel, which may be to move it.
      onread: {
        buffer: () =>
          Buffer.allocUnsafeSlow(READ_BYTES[this.#reads < FIRST_READS ? 'first' : 'then']),
        callback: (length, buffer) => this.#arrived(Buffer.from(buffer.buffer, 0, length)),
      },
    });
    this.#timer = setTimeout(() => {
      // After the events that wait to be told of: when this process was held up, the connection may stand long since.
      setImmediate(() => {
        if (!this.#socket.connecting) return;
        this.destroy(new PeerError('connect', `no connection in ${connectTimeout} ms`));
      });
    }, connectTimeout);
    this.#socket.once('connect', () => {
      clearTimeout(this.#timer);
    });
    this.#socket.on('error', (error) => {
      this.#error ??= error;
    });
    this.#socket.on('end', () => {
      this.#socket.destroy();
    });
    this.#socket.on('close', () => {
      this.#closed();
    });
  }

  /** Whether it has answered before, and so may have been closed by the peer just now. */
  get reused(): boolean {
    return this.#used > 1;
  }

  /** Whether nothing of the answer to the present request has come. */
  get silent(): boolean {
    return this.#reads === 0;
  }

  /**
   * Sends a request and waits for the head of its answer.
   *
   * @param text the request, complete
   */
  request(text: string): Promise<DirectResponse> {
    this.#answer = Promise.withResolvers<DirectResponse>();
    this.#used += 1;
    this.#reads = 0;
    this.#socket.ref();
    this.#socket.resume();
    this.#socket.write(text, 'latin1');
    return this.#answer.promise;
  }

  /** Nobody waits for this connection any more until the next request; the peer may close it. */
  rest(): void {
    this.#socket.unref();
    this.#socket.resume();
  }

  destroy(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  #arrived(chunk: Buffer): boolean {
    this.#reads += 1;
    if (this.#body !== undefined) return this.#body.arrived(chunk);
    if (this.#answer === undefined) {
      this.destroy(); // bytes that nobody asked for
      return false;
    }
    const known = this.#head.length;
    this.#head = known === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    const end = this.#head.indexOf('\r\n\r\n', Math.max(0, known - 3));
    if (end > MAX_HEADER_BYTES || (end < 0 && this.#head.length > MAX_HEADER_BYTES)) {
      this.destroy(new PeerError('protocol', 'head too large'));
      return false;
    }
    return end < 0 || this.#headComplete(end);
  }

  /** @returns whether to read on */
  #headComplete(end: number): boolean {
    let head: ResponseHead;
    try {
      head = parseResponseHead(this.#head.toString('latin1', 0, end));
    } catch (error) {
      this.destroy(error as PeerError);
      return false;
    }
    const rest = this.#head.subarray(end + 4);
    // It shares its memory with what was read together with it, which is not to be kept for as long as the body takes.
    this.#head = EMPTY;
    const { length = 0, keepAlive, statusCode, headers } = head;
    const connection = {
      socket: this.#socket,
      pause: () => this.#socket.pause(),
      resume: () => this.#socket.resume(),
      done: (complete: boolean) => {
        this.#body = undefined;
        if (complete && keepAlive && head.length !== undefined) this.#init.onFree(this);
        else this.destroy();
      },
    };
    const body = new DirectBody(connection, length, this.#init.stallTimeout);
    this.#body = body;
    const answer = this.#answer;
    this.#answer = undefined;
    const more = rest.length === 0 ? length === 0 : body.arrived(rest);
    answer?.resolve({ statusCode, headers, body });
    return more;
  }

  #closed(): void {
    clearTimeout(this.#timer);
    this.#answer?.reject(
      this.#error ?? new PeerError('body', 'connection ended before the answer'),
    );
    this.#answer = undefined;
    this.#body?.broke(this.#error);
    this.#init.onClose(this);
  }
}
