import type { Stream } from '@libp2p/interface';

import { FrameReader } from './frames.ts';

/** Streams kept open per peer while nobody uses them. */
const MAX_IDLE_PER_PEER = 4;
/** How long they are kept: our nodes wait twice as long for the next request, Go's end them after a minute. */
const IDLE_MS = 10 * 60_000;

/** A stream and what reads it. */
export interface Channel {
  readonly stream: Stream;
  readonly reader: FrameReader;
}

interface IdleChannel extends Channel {
  readonly timer: NodeJS.Timeout;
}

/**
 * Streams to peers that are used again and again, each by one exchange at a time: opening one takes two round
 * trips and several times the work of a request and its answer.
 */
export class StreamPool {
  readonly #idle = new Map<string, IdleChannel[]>();
  readonly #maxAnswerBytes: number;
  #stopped = false;

  /** @param maxAnswerBytes length of a message that is read at most */
  constructor(maxAnswerBytes: number) {
    this.#maxAnswerBytes = maxAnswerBytes;
  }

  /**
   * Talks on a stream that is open already, or else on one that `open` gives. After a failure the stream is
   * aborted; when it was an old one the peer may just have closed it, and a new one is tried.
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

  stop(): void {
    this.#stopped = true;
    for (const { stream, timer } of [...this.#idle.values()].flat()) {
      clearTimeout(timer);
      // Not closed: the connection would wait for the peer to close its side as well.
      stream.abort(new Error('the router stops'));
    }
    this.#idle.clear();
  }

  async #exchange<T>(
    peerId: string,
    channel: Channel,
    talk: (channel: Channel) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const onAbort = (): void => {
      channel.stream.abort(new Error('the peer did not answer in time'));
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort);
    try {
      const result = await talk(channel);
      this.#keep(peerId, channel);
      return result;
    } catch (error) {
      channel.stream.abort(error instanceof Error ? error : new Error('the exchange failed'));
      channel.reader[Symbol.dispose]();
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #take(peerId: string): Channel | undefined {
    const channels = this.#idle.get(peerId);
    for (let channel = channels?.pop(); channel !== undefined; channel = channels?.pop()) {
      clearTimeout(channel.timer);
      if (isUsable(channel)) return channel;
      discard(channel);
    }
    this.#idle.delete(peerId);
    return undefined;
  }

  #keep(peerId: string, channel: Channel): void {
    const channels = this.#idle.get(peerId) ?? [];
    const timer = setTimeout(() => {
      const kept = (this.#idle.get(peerId) ?? []).filter(
        (other) => other.stream !== channel.stream,
      );
      if (kept.length > 0) this.#idle.set(peerId, kept);
      else this.#idle.delete(peerId);
      discard({ ...channel, timer });
    }, IDLE_MS);
    if (this.#stopped || channels.length >= MAX_IDLE_PER_PEER || !isUsable(channel)) {
      discard({ ...channel, timer });
      return;
    }
    channels.push({ ...channel, timer });
    this.#idle.set(peerId, channels);
  }
}

/** Something that came unasked would be taken for the answer to the next question. */
function isUsable({ stream, reader }: Channel): boolean {
  return stream.status === 'open' && stream.writeStatus === 'writable' && reader.idle;
}

function discard({ stream, reader, timer }: IdleChannel): void {
  clearTimeout(timer);
  reader[Symbol.dispose]();
  stream.close().catch((error: unknown) => {
    stream.abort(error instanceof Error ? error : new Error('cannot close the stream'));
  });
}
