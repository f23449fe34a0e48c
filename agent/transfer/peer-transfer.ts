import pLimit from 'p-limit';

import { rangeLength, type ByteRange } from '../oci/byte-range.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { OciError } from '../oci/errors.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import { AttemptSlots } from './attempt-slots.ts';
import { contentKey, type ContentRequest } from './content-request.ts';
import { KnownSizes } from './known-sizes.ts';
import {
  PeerAttempts,
  type PeerAttemptsComponents,
  type PeerAttemptsInit,
} from './peer-attempts.ts';
import { Budget } from './budget.ts';
import { PeerError } from './peer-error.ts';
import { PeerRace, type Source } from './peer-race.ts';
import { PeerStanding } from './peer-standing.ts';
import { resumingBody } from './resuming-body.ts';
import { readVerified } from './verified-body.ts';

/** Content up to this many bytes is held back until its digest is verified. */
const HOLD_BACK_BYTES = MAX_MANIFEST_BYTES;

/** Larger bodies held back at once: with the above it bounds the memory that this takes, at 64 MiB. */
const HELD_BACK_AT_ONCE = 16;

/** Manifests and configs are smaller than this, in bytes, and do not queue behind layers. */
const SMALL_BYTES = 64 * 1024;

/** Small bodies held back at once: 16 MiB. */
const SMALL_HELD_BACK_AT_ONCE = 256;

/** Bounds of a transfer. */
export interface PeerTransferInit extends Omit<PeerAttemptsInit, 'firstByteBudget'> {
  /**
   * From the request to the first byte of a good answer, over all peers, in milliseconds; the time in which
   * held-back content arrives is not counted. Default 2500.
   */
  readonly firstByteBudget?: number;
}

/** Content from a peer. */
export type PeerContent = {
  readonly descriptor: Descriptor;
  /** Base URL of the mirror that it comes from, or begins to come from. */
  readonly origin: string;
} & (
  | {
      /** Answer to a HEAD. */
      readonly kind: 'head';
    }
  | {
      /** All of it, verified against its digest. */
      readonly kind: 'whole';
      readonly bytes: Buffer;
    }
  | {
      /** The bytes of `range`, which go on from another peer when one fails. */
      readonly kind: 'stream';
      readonly range: ByteRange;
      readonly body: AsyncIterable<Uint8Array>;
    }
);

/** Gets content from whichever peer delivers it. */
export class PeerTransfer {
  readonly #components: PeerAttemptsComponents;
  readonly #init: Required<PeerTransferInit>;
  readonly #holdBack = pLimit(HELD_BACK_AT_ONCE);
  readonly #holdBackSmall = pLimit(SMALL_HELD_BACK_AT_ONCE);

  constructor(
    components: Omit<PeerAttemptsComponents, 'standing' | 'slots' | 'sizes'>,
    init: PeerTransferInit,
  ) {
    this.#components = {
      ...components,
      standing: new PeerStanding(),
      slots: new AttemptSlots(),
      sizes: new KnownSizes(),
    };
    this.#init = { firstByteBudget: 2_500, ...init };
  }

  /**
   * Asks peers until one answers well.
   *
   * @param signal ends everything, the body included
   * @returns `undefined` when no peer has it or none answers in time
   * @throws OciError `RANGE_INVALID` when a holder says that the range is not satisfiable and none delivers
   */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<PeerContent | undefined> {
    const { metrics, logger } = this.#components;
    const attempts = new PeerAttempts(request, this.#components, this.#init);
    const start = performance.now();
    using budget = new Budget(this.#init.firstByteBudget);
    try {
      const content = await this.#firstGood(attempts, signal, budget);
      metrics.firstByte.observe((performance.now() - start) / 1000);
      return content;
    } catch (error) {
      if (!(error instanceof NotDelivered)) throw error;
      const { reason } = error;
      metrics.fallThroughs.inc({ reason });
      logger.debug({ key: contentKey(request), reason }, 'no peer delivers');
      return undefined;
    }
  }

  async #firstGood(
    attempts: PeerAttempts,
    signal: AbortSignal,
    budget: Budget,
  ): Promise<PeerContent> {
    const { range, ...whole } = attempts.request;
    // A manifest is always fetched whole: it is small, and only whole it can be verified.
    const request = range === undefined || whole.kind === 'manifest' ? whole : attempts.request;
    const inTime = AbortSignal.any([signal, budget.signal]);
    using race = new PeerRace(attempts, request, signal, inTime);
    for (;;) {
      const result = await race.next();
      signal.throwIfAborted();
      if (result.kind !== 'source') {
        if (attempts.unsatisfiable) {
          throw new OciError('RANGE_INVALID', 'no byte of the range exists');
        }
        if (attempts.anyAsked) throw new NotDelivered('providers-failed');
        const late = result.kind === 'timeout' || budget.signal.aborted;
        throw new NotDelivered(late ? 'lookup-timeout' : 'no-provider');
      }
      try {
        return await this.#deliver(attempts, result, signal, budget);
      } catch (error) {
        signal.throwIfAborted();
        attempts.broke(result.provider, error);
      }
    }
  }

  async #deliver(
    attempts: PeerAttempts,
    source: Source,
    signal: AbortSignal,
    budget: Budget,
  ): Promise<PeerContent> {
    const { kind, method } = attempts.request;
    const { response } = source;
    const { descriptor, origin, range, body } = response;
    if (kind === 'manifest' && descriptor.size > MAX_MANIFEST_BYTES) {
      body.destroy();
      throw new PeerError('protocol', 'a manifest larger than manifests may be');
    }
    if (method === 'HEAD') return { kind: 'head', descriptor, origin };
    const { metrics } = this.#components;
    if (rangeLength(range) === descriptor.size && descriptor.size <= HOLD_BACK_BYTES) {
      const limit = descriptor.size <= SMALL_BYTES ? this.#holdBackSmall : this.#holdBack;
      budget.pause();
      try {
        const bytes = await limit(() => readVerified(response));
        metrics.peerBytes.inc({ direction: 'received' }, bytes.length);
        if (kind === 'manifest') this.#components.sizes.note(bytes);
        return { kind: 'whole', descriptor, origin, bytes };
      } finally {
        budget.resume();
      }
    }
    const tail = resumingBody(attempts, source, metrics, signal);
    return { kind: 'stream', descriptor, origin, range, body: tail };
  }
}

/** Why a request is left to the upstream registry; the label of `peerglass_fall_throughs_total`. */
class NotDelivered extends Error {
  readonly reason: 'no-provider' | 'lookup-timeout' | 'providers-failed';

  constructor(reason: NotDelivered['reason']) {
    super(reason);
    this.reason = reason;
  }
}
