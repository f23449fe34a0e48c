import type { Stream } from '@libp2p/interface';

import { boundedExchange } from './bounded-exchange.ts';
import { FrameReader } from './frame-reader.ts';

/** Upper bound for the idle streams that stay open to one peer. */
const MAX_IDLE_PER_PEER = 4;
/**
 * How long an idle stream stays open, in milliseconds. Our nodes wait twice as long for the next request; nodes of
 * go-libp2p-kad-dht end a stream after a minute.
 */
const IDLE_MS = 10 * 60_000;

/** A stream and the reader of its messages. */
export interface Channel {
  readonly stream: Stream;
  readonly reader: FrameReader;
}

interface IdleChannel extends Channel {
  readonly timer: NodeJS.Timeout;
  /** Called when the stream ends, with its connection for example. */
  readonly onClose: () => void;
}

/**
 * Keeps streams to peers open for the next exchange. One exchange uses a stream at a time. Opening a stream takes
 * two round trips, and several times the work of a request with its answer. A stream that ends is forgotten at once: it
 * holds its connection in memory, with the socket and the buffers.
 */
export class StreamPool {
  readonly #idle = new Map<string, IdleChannel[]>();
  readonly #maxAnswerBytes: number;
  #stopped = false;

  /** @param maxAnswerBytes upper bound for the length of one answer, in bytes */
  constructor(maxAnswerBytes: number) {
    this.#maxAnswerBytes = maxAnswerBytes;
  }

  /**
   * Runs an exchange on an idle stream, or on a new one from `open`. A failed exchange aborts its stream. When an
   * idle stream fails, the exchange runs again on a new one: the peer may have closed the idle stream meanwhile.
   *
   * @throws the error of the exchange, or of `open`
   */
  async use<T>(
    peerId: string,
    open: () => Promise<Stream>,
    talk: (channel: Channel) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const idle = this.#take(peerId);
    if (idle !== undefined) {
      try {
        return await this.#exchange(peerId, idle, talk, signal);
      } catch (error) {
        if (signal.aborted) throw error;
      }
    }
    const stream = await open();
    const reader = new FrameReader(stream, this.#maxAnswerBytes);
    return this.#exchange(peerId, { stream, reader }, talk, signal);
  }

  /** Aborts all idle streams, and keeps none from now on. */
  stop(): void {
    this.#stopped = true;
    const idle = [...this.#idle.values()].flat();
    this.#idle.clear();
    for (const channel of idle) {
      rouse(channel);
      // Aborted, not closed: the connection would wait until the peer closes its side as well.
      channel.stream.abort(new Error('the router stops'));
    }
  }

  async #exchange<T>(
    peerId: string,
    channel: Channel,
    talk: (channel: Channel) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    try {
      const result = await boundedExchange(channel.stream, () => talk(channel), signal);
      this.#keep(peerId, channel);
      return result;
    } catch (error) {
      channel.reader[Symbol.dispose]();
      throw error;
    }
  }

  /** Number of peers to which it keeps streams open. */
  get peers(): number {
    return this.#idle.size;
  }

  #take(peerId: string): Channel | undefined {
    const channels = this.#idle.get(peerId);
    for (let channel = channels?.pop(); channel !== undefined; channel = channels?.pop()) {
      rouse(channel);
      if (isUsable(channel)) return channel;
      discard(channel);
    }
    this.#idle.delete(peerId);
    return undefined;
  }

  #keep(peerId: string, channel: Channel): void {
    const channels = this.#idle.get(peerId) ?? [];
    if (this.#stopped || channels.length >= MAX_IDLE_PER_PEER || !isUsable(channel)) {
      discard(channel);
      return;
    }
    const onClose = (): void => {
      this.#forget(peerId, idle);
      rouse(idle);
      idle.reader[Symbol.dispose]();
    };
    const timer = setTimeout(() => {
      this.#forget(peerId, idle);
      rouse(idle);
      discard(idle);
    }, IDLE_MS);
    const idle = { ...channel, timer, onClose };
    channel.stream.addEventListener('close', onClose);
    channels.push(idle);
    this.#idle.set(peerId, channels);
  }

  #forget(peerId: string, channel: IdleChannel): void {
    const kept = (this.#idle.get(peerId) ?? []).filter((other) => other !== channel);
    if (kept.length > 0) this.#idle.set(peerId, kept);
    else this.#idle.delete(peerId);
  }
}

/** Ends what was set up for a channel while it is idle. */
function rouse({ stream, timer, onClose }: IdleChannel): void {
  clearTimeout(timer);
  stream.removeEventListener('close', onClose);
}

/** An unsolicited message would be taken for the answer to the next request, so the stream must have none. */
function isUsable({ stream, reader }: Channel): boolean {
  return stream.status === 'open' && stream.writeStatus === 'writable' && reader.idle;
}

function discard({ stream, reader }: Channel): void {
  reader[Symbol.dispose]();
  stream.close().catch((error: unknown) => {
    stream.abort(error instanceof Error ? error : new Error('cannot close the stream'));
  });
}
