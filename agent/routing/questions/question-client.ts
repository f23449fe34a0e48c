import type { PeerId } from '@libp2p/interface';
import { peerIdFromString } from '@libp2p/peer-id';
import pLimit from 'p-limit';
import type { LimitFunction } from 'p-limit';

import { raceSignal } from '../../timing/race-signal.ts';
import type { PeerDialer } from '../dht/peer-dialer.ts';
import { frame, FrameError } from '../dht/frames.ts';
import { StreamPool } from '../dht/stream-pool.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { dhtPeer } from '../node/membership.ts';
import { NotAskedError, type QuestionHandler } from './question-handler.ts';

/** Questions that one peer is asked at a time, each on a stream that stays open. */
const ASKED_AT_ONCE = 4;
/** Questions that wait for one peer; a peer that answers takes a thousandth of a second for each. */
const MAX_WAITING = 1000;

export interface QuestionClientComponents {
  readonly node: Pick<RoutingNode, 'getConnections'>;
  readonly dialer: Pick<PeerDialer, 'open'>;
}

/** Asks other members, over connections that are there. */
export class QuestionClient {
  readonly #components: QuestionClientComponents;
  readonly #protocol: string;
  readonly #streams: StreamPool;
  /** The peers that are being asked. */
  readonly #asking = new Map<string, LimitFunction>();

  constructor(
    components: QuestionClientComponents,
    { protocol, maxBytes }: Pick<QuestionHandler, 'protocol' | 'maxBytes'>,
  ) {
    this.#components = components;
    this.#protocol = protocol;
    this.#streams = new StreamPool(maxBytes);
  }

  /**
   * Asks over an idle stream to the peer if there is one: opening a stream costs several times as much as a question. A
   * few questions go to one peer at a time.
   *
   * @param signal ends the wait, and the stream with it
   * @throws {NotAskedError} when there is no connection with the peer, or too many questions wait for it
   * @throws Error when the peer does not speak the protocol, ends the stream or breaks the protocol
   */
  async ask(peerId: string, message: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    const limit = this.#asking.get(peerId) ?? pLimit(ASKED_AT_ONCE);
    if (limit.pendingCount >= MAX_WAITING) throw new NotAskedError('too many questions wait');
    this.#asking.set(peerId, limit);
    const asked = limit(async () => {
      try {
        signal.throwIfAborted();
        return await this.#exchange(peerId, message, signal);
      } finally {
        // This one is active until it has ended.
        if (limit.activeCount + limit.pendingCount === 1) this.#asking.delete(peerId);
      }
    });
    return await raceSignal(asked, signal);
  }

  /** Aborts the idle streams. */
  stop(): void {
    this.#streams.stop();
  }

  async #exchange(peerId: string, message: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
    return await this.#streams.use(
      peerId,
      async () => {
        const peer = dhtPeer(this.#connected(peerId));
        return this.#components.dialer.open(peer, this.#protocol, signal);
      },
      async ({ stream, reader }) => {
        stream.send(frame(message));
        const answer = await reader.next();
        if (answer === undefined)
          throw new FrameError('the peer ended the stream without an answer');
        return answer;
      },
      signal,
    );
  }

  #connected(text: string): PeerId {
    const peerId = readPeerId(text);
    if (peerId === undefined || this.#components.node.getConnections(peerId).length === 0) {
      throw new NotAskedError(`not connected with ${text}`);
    }
    return peerId;
  }
}

function readPeerId(text: string): PeerId | undefined {
  try {
    return peerIdFromString(text);
  } catch {
    return undefined;
  }
}
