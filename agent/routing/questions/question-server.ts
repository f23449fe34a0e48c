import type { Connection, Stream } from '@libp2p/interface';
import type { Logger } from 'pino';

import { isAborted, pause } from '../../timing/pause.ts';
import type { FrameReader } from '../dht/frame-reader.ts';
import { frame } from '../dht/frames.ts';
import { RequestRateLimiter } from '../dht/request-rate-limiter.ts';
import { MESSAGE_MS, serveStream } from '../dht/served-stream.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import type { QuestionHandler } from './question-handler.ts';

const MAX_STREAMS_PER_CONNECTION = 32;
/**
 * Tokens that a question costs, see {@link RequestRateLimiter}: one peer may ask 500 at once, and 500 in each second
 * after that. A node with a hundred downloads asks 400 a second, of all arbiters together.
 */
const COST = 40;

export interface QuestionServerComponents {
  readonly node: Pick<RoutingNode, 'handle' | 'unhandle'>;
  /** Not the one of the DHT: a node that has just sent its records would wait for its answers. Default: a new one. */
  readonly rateLimiter?: RequestRateLimiter;
  readonly logger: Logger;
}

/**
 * Answers the questions of other members. A stream takes one question after another, each a length-prefixed message
 * with one answer.
 */
export class QuestionServer {
  readonly #node: QuestionServerComponents['node'];
  readonly #logger: Logger;
  readonly #rateLimiter: RequestRateLimiter;
  readonly #handler: QuestionHandler;
  readonly #stopped = new AbortController();

  constructor({ node, rateLimiter, logger }: QuestionServerComponents, handler: QuestionHandler) {
    this.#node = node;
    this.#rateLimiter = rateLimiter ?? new RequestRateLimiter();
    this.#logger = logger;
    this.#handler = handler;
  }

  /** Registers the protocol. Call it before the node starts, so that identify announces the protocol. */
  async start(): Promise<void> {
    await this.#node.handle(
      this.#handler.protocol,
      (stream, connection) => this.#serve(stream, connection),
      { maxInboundStreams: MAX_STREAMS_PER_CONNECTION },
    );
  }

  /** Aborts all streams and unregisters the protocol. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#node.unhandle(this.#handler.protocol);
  }

  async #serve(stream: Stream, { remotePeer }: Connection): Promise<void> {
    const peerId = remotePeer.toString();
    const bounds = { maxBytes: this.#handler.maxBytes, stopped: this.#stopped.signal };
    try {
      await serveStream(stream, bounds, (reader) => this.#answerAll(stream, reader, peerId));
    } catch (err) {
      this.#logger.debug({ peerId, err }, 'a stream of questions failed');
    }
  }

  async #answerAll(stream: Stream, reader: FrameReader, peerId: string): Promise<void> {
    const { signal } = this.#stopped;
    for (;;) {
      const message = await reader.next();
      if (message === undefined || isAborted(signal)) return;
      const wait = this.#rateLimiter.spend(peerId, COST);
      if (wait > 0) await pause(wait, signal);
      const isRead = stream.send(frame(this.#handler.answer(peerId, message)));
      // The timer is made for a peer that does not read only.
      if (!isRead) await stream.onDrain({ signal: AbortSignal.timeout(MESSAGE_MS) });
    }
  }
}
