import type { Connection, Stream } from '@libp2p/interface';
import type { Logger } from 'pino';

import { Deadline } from '../../timing/deadline.ts';
import { boundedExchange } from './bounded-exchange.ts';
import { FrameReader } from './frame-reader.ts';
import { frame, FrameError } from './frames.ts';
import { recordKeyOf } from './key.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import type { DhtPeer } from '../node/membership.ts';
import type { ProviderRecords } from './provider-records.ts';

/**
 * Withdraws provider records, for which the DHT's own protocol has no message. One stream carries the
 * length-prefixed multihashes of the keys. The receiver deletes the records and then ends its side. It deletes
 * records of the sender only, which the connection authenticates. Spegel's nodes do not speak this protocol:
 * records on them expire.
 */
const WITHDRAW_PROTOCOL = '/peerglass/withdraw/1.0.0';

/** Upper bound for the multihashes on one stream. */
export const MAX_WITHDRAWALS_PER_STREAM = 10_000;
/** Upper bound for one multihash, in bytes; a SHA2-256 multihash has 34. */
const MAX_MULTIHASH_BYTES = 64;
/** How long a sender may take for one stream, in milliseconds. */
const RECEIVE_TIMEOUT_MS = 10_000;
const MAX_STREAMS_PER_CONNECTION = 4;

/** Components of {@link WithdrawProtocol}: it deletes from the records what peers withdraw. */
export interface WithdrawComponents {
  readonly node: RoutingNode;
  readonly records: ProviderRecords;
  readonly logger: Logger;
}

/** Sends and receives withdrawals by {@link WITHDRAW_PROTOCOL}. */
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

  /** Registers the protocol. Call it before the node starts, so that identify announces the protocol. */
  async start(): Promise<void> {
    await this.#node.handle(
      WITHDRAW_PROTOCOL,
      (stream, connection) => this.#receive(stream, connection),
      {
        maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
      },
    );
  }

  /** Ends all streams and unregisters the protocol. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#node.unhandle(WITHDRAW_PROTOCOL);
  }

  /**
   * Withdraws our records of the keys from a peer. Resolves with true when the peer has deleted them, or with
   * false when it does not speak the protocol.
   *
   * @param multihashes of the keys, at most {@link MAX_WITHDRAWALS_PER_STREAM}
   * @throws Error when the peer cannot be dialled or does not confirm in time
   */
  async send(
    peer: DhtPeer,
    multihashes: readonly Uint8Array[],
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<boolean> {
    if (!(await this.#speaks(peer))) return false;
    using deadline = new Deadline(timeoutMs, signal);
    // Dials again when the connection was lost: the peer may be back.
    const stream = await this.#node.dialProtocol(peer.id, WITHDRAW_PROTOCOL, {
      signal: deadline.signal,
    });
    using reader = new FrameReader(stream, 0);
    const exchange = async (): Promise<void> => {
      stream.send(Buffer.concat(multihashes.map(frame)));
      await stream.close({ signal: deadline.signal });
      if ((await reader.next()) !== undefined) throw new FrameError('unexpected answer');
    };
    await boundedExchange(stream, exchange, deadline.signal);
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
      const exchange = async (): Promise<void> => {
        for (;;) {
          const multihash = await reader.next();
          if (multihash === undefined) break;
          if (++count > MAX_WITHDRAWALS_PER_STREAM) throw new FrameError('too many withdrawals');
          const recordKey = recordKeyOf(multihash);
          if (recordKey !== undefined) this.#records.delete(recordKey, peerId);
        }
        await stream.close({ signal: deadline.signal });
      };
      await boundedExchange(stream, exchange, deadline.signal);
      this.#logger.debug({ peerId, count }, 'records withdrawn');
    } catch (err) {
      this.#logger.debug({ peerId, count, err }, 'withdrawal failed');
    }
  }
}
