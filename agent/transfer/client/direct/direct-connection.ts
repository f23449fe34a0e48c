import { connect, type LookupFunction, type Socket, type TcpSocketConnectOpts } from 'node:net';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';

import { PeerError } from '../peer-error.ts';
import type { SilenceInit } from '../../../timing/silence.ts';
import { DirectBody } from './direct-body.ts';
import { GatheredReads } from './gathered-reads.ts';
import { parseResponseHead, type ResponseHead } from './response-head.ts';

/** Largest response head by default, in bytes. */
const MAX_HEADER_BYTES = 16 * 1024;

/**
 * Buffer size of one read. It is small at first: the kernel moves most bodies, except for the bytes that came with the
 * head, and each connection keeps the buffer for its next read. It is larger when a body is read as a stream.
 */
const READ_BYTES = { first: 16 * 1024, then: 64 * 1024 } as const;

/** Reads of an answer that use the small buffer. */
const FIRST_READS = 2;

const EMPTY = Buffer.alloc(0);

/** Options of a {@link DirectConnection}. */
export interface DirectConnectionInit extends SilenceInit {
  readonly host: string;
  readonly port: number;
  /** What the connection is encrypted with, and the server checked against. Default: it is plain. */
  readonly tls?: ConnectionOptions | undefined;
  /** Called with the session of a connection by TLS, with which the next one begins faster. */
  readonly onSession?: (session: Buffer) => void;
  /** Time to connect, TLS included, in milliseconds. */
  readonly connectTimeout: number;
  /** Finds the addresses of a host that is a name. Default: the system's. */
  readonly lookup?: LookupFunction | undefined;
  /** Largest response head, in bytes. Default 16 KiB. */
  readonly maxHeaderBytes?: number | undefined;
  /**
   * Whether an answer may have a body of unknown length. Its bytes are those of the connection then: a body in chunks still has
   * their sizes in it. Default: no.
   */
  readonly takesUnsized?: boolean | undefined;
  /** Called when a response is complete and the connection can be used again. */
  readonly onFree: (connection: DirectConnection) => void;
  /** Called when the connection has closed. */
  readonly onClose: (connection: DirectConnection) => void;
}

/** A response whose head has arrived. */
export interface DirectResponse extends Pick<ResponseHead, 'statusCode' | 'headers'> {
  readonly body: DirectBody;
}

/** A connection to a peer for one request at a time. It reads only as many bytes as the reader of the body takes. */
export class DirectConnection {
  readonly #init: DirectConnectionInit;
  readonly #socket: Socket;
  readonly #gathered: GatheredReads | undefined;
  readonly #timer: NodeJS.Timeout;
  #head: Buffer = EMPTY;
  #reads = 0;
  #answer: PromiseWithResolvers<DirectResponse> | undefined;
  #body: DirectBody | undefined;
  #used = 0;
  #isOpen = false;
  /** The request that is sent once the server is known to be the right one. */
  #unsent: string | undefined;
  #error: Error | undefined;

  constructor(init: DirectConnectionInit) {
    this.#init = init;
    const { host, port, connectTimeout, lookup, tls } = init;
    const options = { host, port, noDelay: true, ...(lookup && { lookup }) };
    if (tls === undefined) this.#socket = this.#connectPlain(options);
    else {
      this.#gathered = new GatheredReads({
        arrived: (chunk) => this.#arrived(chunk),
        pause: () => this.#socket.pause(),
      });
      this.#socket = this.#connectTls({ ...tls, ...options }, this.#gathered);
    }
    this.#timer = setTimeout(() => {
      // After the pending events: if this process was blocked, the connection may have been made long ago.
      setImmediate(() => {
        if (this.#isOpen) return;
        this.destroy(new PeerError('connect', `no connection in ${connectTimeout} ms`));
      });
    }, connectTimeout);
    this.#socket.once(tls === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(this.#timer);
      this.#isOpen = true;
      if (this.#unsent !== undefined) this.#socket.write(this.#unsent, 'latin1');
      this.#unsent = undefined;
    });
    this.#socket.on('error', (error) => {
      this.#error ??= error;
    });
    this.#socket.on('end', () => {
      this.#gathered?.flush();
      this.#socket.destroy();
    });
    this.#socket.on('close', () => {
      this.#closed();
    });
  }

  /** Whether this is not its first request. The peer may then have closed the idle connection just now. */
  get isReused(): boolean {
    return this.#used > 1;
  }

  /** Whether no byte of the current answer has arrived. */
  get isSilent(): boolean {
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
    if (this.#isOpen) this.#socket.write(text, 'latin1');
    else this.#unsent = text;
    return this.#answer.promise;
  }

  /** Makes the connection idle until the next request. It does not keep the process alive, and the peer may close it. */
  setIdle(): void {
    this.#socket.unref();
    this.#socket.resume();
  }

  destroy(error?: Error): void {
    this.#error ??= error;
    this.#socket.destroy();
  }

  /** Read without the buffer of a stream: bytes that no reader wants stay in the kernel, which may move them. */
  #connectPlain(options: TcpSocketConnectOpts): Socket {
    return connect({
      ...options,
      onread: {
        buffer: () => Buffer.allocUnsafeSlow(READ_BYTES[this.#isLarge ? 'then' : 'first']),
        callback: (length, buffer) => this.#arrived(Buffer.from(buffer.buffer, 0, length)),
      },
    });
  }

  #connectTls(options: ConnectionOptions, gathered: GatheredReads): TLSSocket {
    const socket = connectTls({
      ...options,
      // This client speaks no other protocol.
      ALPNProtocols: ['http/1.1'],
      onread: {
        buffer: () => gathered.room(this.#isLarge ? undefined : READ_BYTES.first),
        callback: (length: number) =>
          gathered.filled(length, this.#isNow(gathered.pending + length)),
      },
    } as ConnectionOptions);
    // Not before: with a session no name is compared any more, so it must be of a server that has the right one.
    socket.once('secureConnect', () => {
      const { onSession } = this.#init;
      const session = socket.getSession();
      if (session !== undefined) onSession?.(session);
      socket.on('session', (later) => onSession?.(later));
    });
    return socket;
  }

  /** Whether a body is read of which more than a little has come. */
  get #isLarge(): boolean {
    return this.#body !== undefined && this.#reads >= FIRST_READS;
  }

  /** Whether so many bytes are not to wait for others. */
  #isNow(pending: number): boolean {
    return !this.#isLarge || pending >= (this.#body?.left ?? 0);
  }

  #arrived(chunk: Buffer): boolean {
    this.#reads += 1;
    if (this.#body !== undefined) return this.#body.arrived(chunk);
    if (this.#answer === undefined) {
      this.destroy(); // bytes without a request
      return false;
    }
    const known = this.#head.length;
    this.#head = known === 0 ? chunk : Buffer.concat([this.#head, chunk]);
    const end = this.#head.indexOf('\r\n\r\n', Math.max(0, known - 3));
    const { maxHeaderBytes = MAX_HEADER_BYTES } = this.#init;
    if (end > maxHeaderBytes || (end < 0 && this.#head.length > maxHeaderBytes)) {
      this.destroy(new PeerError('protocol', 'head too large'));
      return false;
    }
    return end < 0 || this.#headComplete(end);
  }

  /** @returns whether to continue reading */
  #headComplete(end: number): boolean {
    let head: ResponseHead;
    try {
      head = parseResponseHead(this.#head.toString('latin1', 0, end), this.#init.takesUnsized);
    } catch (error) {
      this.destroy(error as PeerError);
      return false;
    }
    const rest = this.#head.subarray(end + 4);
    // The head shares memory with the bytes of the same read, which would be kept as long as the body lasts.
    this.#head = EMPTY;
    const { keepAlive, statusCode, headers, isUnsized } = head;
    const length = isUnsized ? Infinity : (head.length ?? 0);
    const connection = {
      socket: this.#socket,
      isMovable: this.#gathered === undefined,
      pause: () => this.#socket.pause(),
      resume: () => {
        this.#gathered?.resume();
        this.#socket.resume();
      },
      release: (chunk: Uint8Array) => this.#gathered?.release(chunk),
      done: (isReusable: boolean) => {
        this.#body = undefined;
        if (isReusable && keepAlive && head.length !== undefined) this.#init.onFree(this);
        else this.destroy();
      },
    };
    const body = new DirectBody(connection, length, this.#init);
    this.#body = body;
    const answer = this.#answer;
    this.#answer = undefined;
    const more = rest.length === 0 ? length === 0 : body.arrived(rest);
    answer?.resolve({ statusCode, headers, body });
    return more;
  }

  #closed(): void {
    clearTimeout(this.#timer);
    this.#gathered?.stop();
    this.#answer?.reject(
      this.#error ?? new PeerError('body', 'connection ended before the answer'),
    );
    this.#answer = undefined;
    this.#body?.broke(this.#error);
    this.#init.onClose(this);
  }
}
