import type { Connection, Stream } from '@libp2p/interface';
import type { Logger } from 'pino';

import { Deadline } from '../../timing/deadline.ts';
import { frame, FrameError, FrameReader } from './frames.ts';
import { recordKeyOf } from './key.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import type { DhtPeer } from '../node/membership.ts';
import type { ProviderRecords } from './provider-records.ts';

/**
 * Takes provider records back, which the DHT's own protocol cannot: one stream carries the multihashes of
 * the keys, each with its length before it, and the receiver ends its side when it has forgotten them all.
 * It deletes the records of the sender only, who is authenticated by the connection. Spegel's nodes do not
 * speak it; with them the records expire.
 */
const WITHDRAW_PROTOCOL = '/peerglass/withdraw/1.0.0';

/** Multihashes on one stream at most. */
export const MAX_WITHDRAWALS_PER_STREAM = 10_000;
/** A SHA2-256 multihash has 34 bytes. */
const MAX_MULTIHASH_BYTES = 64;
/** How long a sender may take for one stream. */
const RECEIVE_TIMEOUT_MS = 10_000;
const MAX_STREAMS_PER_CONNECTION = 4;

/** What {@link WithdrawProtocol} works with. */
export interface WithdrawComponents {
  readonly node: RoutingNode;
  readonly records: ProviderRecords;
  readonly logger: Logger;
}

/** Both sides of {@link WITHDRAW_PROTOCOL}. */
export class WithdrawProtocol {
  readonly #node: RoutingNode;
  readonly #records: ProviderRecords;
  readonly #logger: Logger;
  readonly #stopped = new AbortController();

  constructor({ node, records, logger }: WithdrawComponents) {
    this.#node = node;
    this.#records = records;
    this.#logger = logger;
  }

  /** To be called before the node starts, so that it is among the protocols that identify names. */
  async start(): Promise<void> {
    await this.#node.handle(
      WITHDRAW_PROTOCOL,
      (stream, connection) => this.#receive(stream, connection),
      {
        maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
      },
    );
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#node.unhandle(WITHDRAW_PROTOCOL);
  }

  /**
   * Takes the records of the keys back from a peer, at most {@link MAX_WITHDRAWALS_PER_STREAM} of them;
   * resolves when it has forgotten them, or false when it does not speak the protocol.
   */
  async send(
    peer: DhtPeer,
    multihashes: readonly Uint8Array[],
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<boolean> {
    if (!(await this.#speaks(peer))) return false;
    using deadline = new Deadline(timeoutMs, signal);
    // Connects anew when the connection is lost, which it may be for a moment only.
    const stream = await this.#node.dialProtocol(peer.id, WITHDRAW_PROTOCOL, {
      signal: deadline.signal,
    });
    using reader = new FrameReader(stream, 0);
    await this.#bounded(stream, deadline.signal, async () => {
      stream.send(Buffer.concat(multihashes.map(frame)));
      await stream.close({ signal: deadline.signal });
      if ((await reader.next()) !== undefined) throw new FrameError('unexpected answer');
    });
    return true;
  }

  async #speaks({ id }: DhtPeer): Promise<boolean> {
    try {
      return (await this.#node.peerStore.get(id)).protocols.includes(WITHDRAW_PROTOCOL);
    } catch {
      return false;
    }
  }

  async #receive(stream: Stream, { remotePeer }: Connection): Promise<void> {
    const peerId = remotePeer.toString();
    using deadline = new Deadline(RECEIVE_TIMEOUT_MS, this.#stopped.signal);
    using reader = new FrameReader(stream, MAX_MULTIHASH_BYTES);
    let count = 0;
    try {
      await this.#bounded(stream, deadline.signal, async () => {
        for (;;) {
          const multihash = await reader.next();
          if (multihash === undefined) break;
          if (++count > MAX_WITHDRAWALS_PER_STREAM) throw new FrameError('too many withdrawals');
          const recordKey = recordKeyOf(multihash);
          if (recordKey !== undefined) this.#records.delete(recordKey, peerId);
        }
        await stream.close({ signal: deadline.signal });
      });
      this.#logger.debug({ peerId, count }, 'records withdrawn');
    } catch (err) {
      this.#logger.debug({ peerId, count, err }, 'withdrawal broken off');
    }
  }

  async #bounded(stream: Stream, signal: AbortSignal, talk: () => Promise<void>): Promise<void> {
    const onAbort = (): void => {
      stream.abort(new Error('the peer took too long'));
    };
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort);
    try {
      await talk();
    } catch (error) {
      stream.abort(error instanceof Error ? error : new Error('the exchange failed'));
      throw error;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }
}
