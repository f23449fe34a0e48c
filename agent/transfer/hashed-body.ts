import type { Metrics } from '../metrics/metrics.ts';
import type { Kernel } from '../native/kernel.ts';
import type { Sink } from '../native/sink.ts';
import type { MovedChunk } from '../native/splice.ts';
import { moveTo } from './body/moving-body.ts';
import type { BodyChunk, ReadBody } from './body/resuming-body.ts';
import { PeerError } from './client/peer-error.ts';
import type { PeerResponse } from './client/peer-client.ts';
import type { Attribution } from './verify/attribution.ts';
import { HashedShares } from './verify/hashed-shares.ts';
import { HashingSink } from './verify/hashing-sink.ts';
import type { HashingThread } from './verify/hashing-thread.ts';
import type { DeliveredShares } from './verify/shares.ts';
import { ThreadedHash } from './verify/threaded-hash.ts';
import type { TransferRecord } from './verify/transfer-record.ts';
import { verifyInPassing } from './verify/verify-body.ts';

/** Parts of a {@link HashedBody}. */
export interface HashedBodyComponents {
  readonly attribution: Pick<Attribution, 'isUnresolved' | 'digestMismatch'>;
  readonly metrics: Pick<Metrics, 'deliveryResults'>;
  readonly hashingThread: HashingThread;
}

/** What a {@link HashedBody} delivers. */
export interface HashedBodyInit {
  readonly record: TransferRecord;
  /** Reads the body from one peer or more, one way or the other. */
  readonly resuming: <T extends BodyChunk>(
    read: ReadBody<T>,
    signal: AbortSignal,
  ) => AsyncIterable<T>;
}

/**
 * A whole blob for a client that is not known to verify it. Its last bytes are withheld when the digest is wrong, and the
 * peers that delivered are found out. To be read once, in one of two ways.
 */
export class HashedBody {
  readonly #components: HashedBodyComponents;
  readonly #init: HashedBodyInit;

  constructor(components: HashedBodyComponents, init: HashedBodyInit) {
    this.#components = components;
    this.#init = init;
  }

  /** As chunks, hashed in passing. */
  async *chunks(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { record, resuming } = this.#init;
    const shares = new HashedShares();
    const hashed = shares.through(resuming(asStream, signal), () => this.#unresolved());
    try {
      yield* verifyInPassing(hashed, record.descriptor);
    } catch (error) {
      this.#blame(error, shares);
      throw error;
    }
    this.#components.metrics.deliveryResults.inc({ result: 'right' });
  }

  /** Within the kernel, where a thread hashes a copy of the bytes. Resolves when the client has them or has left. */
  async moveTo(sink: Sink, kernel: Kernel, signal: AbortSignal): Promise<void> {
    const { hashingThread: thread, metrics } = this.#components;
    const { record, resuming } = this.#init;
    using hash = new ThreadedHash({ thread }, record.descriptor);
    const hashing = new HashingSink({ sink, hash }, record.descriptor);
    // A thread that fails is no failure of the peer: it ends all of the body.
    const inTime = AbortSignal.any([signal, hash.failing]);
    const read = (answer: PeerResponse): AsyncIterable<MovedChunk> => {
      hash.deliverer(this.#unresolved());
      return moveTo(answer, hashing, kernel, inTime);
    };
    const chunks = resuming(read, inTime)[Symbol.asyncIterator]();
    while ((await chunks.next()).done !== true);
    try {
      await hashing.finish();
    } catch (error) {
      this.#blame(error, hash);
      throw error;
    }
    metrics.deliveryResults.inc({ result: 'right' });
  }

  /** The present peer, if it took part in a wrong blob before. */
  #unresolved(): string | undefined {
    const { deliverer = '' } = this.#init.record;
    return this.#components.attribution.isUnresolved(deliverer) ? deliverer : undefined;
  }

  #blame(error: unknown, { delivered }: { readonly delivered: DeliveredShares }): void {
    if (!(error instanceof PeerError && error.reason === 'digest')) return;
    const { record } = this.#init;
    record.hashed = delivered;
    void this.#components.attribution.digestMismatch(record);
  }
}

/** Reads the answer as a stream. */
export function asStream({ body }: PeerResponse): AsyncIterable<Uint8Array> {
  return body as AsyncIterable<Buffer>;
}
