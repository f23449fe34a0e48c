import pLimit from 'p-limit';

import { rangeLength, type ByteRange } from '../oci/byte-range.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { OciError } from '../oci/errors.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import type { Provider } from '../routing/router.ts';
import type { ContentRequest } from './content-request.ts';
import {
  PeerAttempts,
  type PeerAttemptsComponents,
  type PeerAttemptsInit,
} from './peer-attempts.ts';
import { Budget } from './budget.ts';
import { PeerError } from './peer-error.ts';
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
export interface PeerTransferInit extends PeerAttemptsInit {
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

  constructor(components: PeerAttemptsComponents, init: PeerTransferInit) {
    this.#components = components;
    this.#init = { firstByteBudget: 2_500, ...init };
  }

  /**
   * Asks peers in turn until one answers well.
   *
   * @param signal ends everything, the body included
   * @returns `undefined` when no peer has it or none answers in time
   * @throws OciError `RANGE_INVALID` when a holder says that the range is not satisfiable and none delivers
   */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<PeerContent | undefined> {
    const { metrics } = this.#components;
    const attempts = new PeerAttempts(request, this.#components, this.#init);
    const start = performance.now();
    using budget = new Budget(this.#init.firstByteBudget);
    try {
      const content = await this.#firstGood(attempts, signal, budget);
      metrics.firstByte.observe((performance.now() - start) / 1000);
      return content;
    } catch (error) {
      if (!(error instanceof NotDelivered)) throw error;
      metrics.fallThroughs.inc({ reason: error.reason });
      return undefined;
    }
  }

  async #firstGood(
    attempts: PeerAttempts,
    signal: AbortSignal,
    budget: Budget,
  ): Promise<PeerContent> {
    const inTime = AbortSignal.any([signal, budget.signal]);
    using search = attempts.search(inTime);
    let failures = 0;
    let unsatisfiable = false;
    while (failures <= this.#init.resolveRetries && !attempts.exhausted) {
      const found = await search.next();
      signal.throwIfAborted();
      if (found.kind !== 'provider') {
        if (failures > 0) break;
        const late = found.kind === 'timeout' || budget.signal.aborted;
        throw new NotDelivered(late ? 'lookup-timeout' : 'no-provider');
      }
      try {
        return await this.#open(attempts, found.provider, inTime, signal, budget);
      } catch (error) {
        signal.throwIfAborted();
        const { reason } = attempts.fail(found.provider, error);
        // A record that is out of date costs one round trip and says nothing about the next peer.
        if (reason !== 'not-found') failures += 1;
        unsatisfiable ||= reason === 'range';
        if (budget.signal.aborted) break;
      }
    }
    if (unsatisfiable) throw new OciError('RANGE_INVALID', 'no byte of the range exists');
    throw new NotDelivered('providers-failed');
  }

  async #open(
    attempts: PeerAttempts,
    provider: Provider,
    inTime: AbortSignal,
    signal: AbortSignal,
    budget: Budget,
  ): Promise<PeerContent> {
    const { kind, method, range: wanted } = attempts.request;
    // A manifest is always fetched whole: it is small, and only whole it can be verified.
    const asked = kind === 'manifest' ? undefined : wanted;
    const response = await attempts.ask(provider, asked, inTime);
    const { descriptor, origin, range, body } = response;
    if (kind === 'manifest' && descriptor.size > MAX_MANIFEST_BYTES) {
      body.destroy();
      throw new PeerError('protocol', 'a manifest larger than manifests may be');
    }
    if (method === 'HEAD') {
      body.resume();
      return { kind: 'head', descriptor, origin };
    }
    const { metrics } = this.#components;
    if (rangeLength(range) === descriptor.size && descriptor.size <= HOLD_BACK_BYTES) {
      const limit = descriptor.size <= SMALL_BYTES ? this.#holdBackSmall : this.#holdBack;
      budget.pause();
      try {
        const bytes = await limit(() => readVerified(response));
        metrics.peerBytes.inc({ direction: 'received' }, bytes.length);
        return { kind: 'whole', descriptor, origin, bytes };
      } finally {
        budget.resume();
      }
    }
    const tail = resumingBody(attempts, { provider, response }, metrics, signal);
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
