import type { Content, ContentSource } from '../content/content-source.ts';
import { rangeLength } from '../oci/byte-range.ts';
import { OciError } from '../oci/errors.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import type { Provider } from '../routing/router.ts';
import { Backoff } from '../timing/backoff.ts';
import { Bandwidth } from './body/bandwidth.ts';
import { contentKey, rangeOf, wholeOf, type ContentRequest } from '../oci/content-request.ts';
import { Attribution, type AttributionComponents } from './verify/attribution.ts';
import { TransferRecord } from './verify/transfer-record.ts';
import { VerifiedBuffer, type VerifiedBufferInit } from './verify/verified-buffer.ts';
import {
  PeerAttempts,
  type PeerAttemptsComponents,
  type PeerAttemptsInit,
} from './select/peer-attempts.ts';
import { PausableTimeout } from '../timing/pausable-timeout.ts';
import { moveTo } from './body/moving-body.ts';
import type { PeerResponse } from './client/peer-client.ts';
import { PeerError } from './client/peer-error.ts';
import { PeerRace, type PeerStream } from './select/peer-race.ts';
import type { PeerScoreboard } from './select/peer-scoreboard.ts';
import { createSharedState } from './select/shared-state.ts';
import { resumingBody, type BodyChunk, type ReadBody } from './body/resuming-body.ts';
import { checkedInPassing } from './verify/verified-body.ts';
import { destroyQuietly } from '../streams/destroy-quietly.ts';

/** How often peers are looked for when a piece of a blob is asked for that must not be refused: some twelve seconds. */
const MAX_PIECE_TRIES = 4;

/** The waits between, in milliseconds. */
const PIECE_BACKOFF = { first: 200, max: 1_600 };

/** Bounds of a transfer. */
export interface PeerTransferInit extends Omit<PeerAttemptsInit, 'firstByteBudget'> {
  /**
   * From the request to the first byte of a good answer, over all peers, in milliseconds; the time in which
   * held-back content arrives is not counted. Default 2500.
   */
  readonly firstByteBudget?: number;
  /** What is held back until it is verified. */
  readonly holdBack?: VerifiedBufferInit;
  /** The zone of this node; empty, which is the default, when it has none. */
  readonly zone?: string;
  /** Bytes per second that bodies from peers may take in all; 0, the default, for no limit. */
  readonly downloadLimit?: number;
}

/** What a {@link PeerTransfer} works with. */
export interface PeerTransferComponents
  extends Omit<PeerAttemptsComponents, 'shared'>, Pick<AttributionComponents, 'store'> {}

/** Gets content from whichever peer delivers it. */
export class PeerTransfer implements ContentSource {
  readonly #components: PeerAttemptsComponents;
  readonly #init: PeerAttemptsInit;
  readonly #holdBack: VerifiedBuffer;
  readonly #deliveries: Attribution;
  readonly #download: Bandwidth | undefined;

  constructor(components: PeerTransferComponents, init: PeerTransferInit) {
    const { zone = '', downloadLimit = 0 } = init;
    const shared = createSharedState(components, { zone });
    this.#components = { ...components, shared };
    this.#init = { firstByteBudget: 2_500, ...init };
    this.#holdBack = new VerifiedBuffer(init.holdBack);
    this.#deliveries = new Attribution({ ...components, scoreboard: shared.scoreboard });
    this.#download = downloadLimit > 0 ? new Bandwidth(downloadLimit) : undefined;
  }

  /** The peers that sent wrong bytes and are not asked. */
  get blocklist(): PeerScoreboard['blocklist'] {
    return this.#components.shared.scoreboard.blocklist;
  }

  /** Ends what goes on behind the requests. */
  stop(): void {
    this.#deliveries.stop();
  }

  /**
   * Asks peers until one answers well; several times for a piece of a blob that containerd asks nobody else for.
   *
   * @param signal ends everything, the body included
   * @returns `undefined` when no peer has it or none answers in time
   * @throws OciError `RANGE_INVALID` when a holder says that the range is not satisfiable and none delivers
   */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    const { metrics, logger } = this.#components;
    const attempts = new PeerAttempts(request, this.#components, this.#init);
    await this.#deliveries.settled(contentKey(request), signal);
    const start = performance.now();
    const backoff = new Backoff(PIECE_BACKOFF);
    for (let triesLeft = attempts.chunks.isLater ? MAX_PIECE_TRIES : 1; ; triesLeft -= 1) {
      using budget = new PausableTimeout(
        this.#init.firstByteBudget,
        () => new PeerError('timeout', 'no peer answered in time'),
      );
      try {
        const content = await this.#firstGood(attempts, signal, budget);
        metrics.firstByte.observe((performance.now() - start) / 1000);
        return content;
      } catch (error) {
        if (!(error instanceof NotDelivered)) throw error;
        if (triesLeft === 1) {
          const { reason } = error;
          metrics.fallThroughs.inc({ reason });
          logger.debug({ key: contentKey(request), reason }, 'no peer delivers');
          return undefined;
        }
      }
      await backoff.wait(signal);
      signal.throwIfAborted();
      attempts.forgive();
    }
  }

  async #firstGood(
    attempts: PeerAttempts,
    signal: AbortSignal,
    budget: PausableTimeout,
  ): Promise<Content> {
    // A manifest is always fetched whole: it is small, and only whole it can be verified.
    const isManifest = attempts.request.kind === 'manifest';
    const request = isManifest
      ? wholeOf(attempts.request)
      : attempts.chunks.firstOf(attempts.request);
    const inTime = AbortSignal.any([signal, budget.signal]);
    using race = new PeerRace(attempts, request, signal, inTime);
    for (;;) {
      const result = await race.next();
      signal.throwIfAborted();
      if (result.kind !== 'peer-stream') {
        if (attempts.progress === 'unsatisfiable') {
          throw new OciError('RANGE_INVALID', 'no byte of the range exists');
        }
        if (attempts.progress === 'busy') throw new NotDelivered('providers-busy');
        if (attempts.progress === 'asked') throw new NotDelivered('providers-failed');
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
    source: PeerStream,
    signal: AbortSignal,
    budget: PausableTimeout,
  ): Promise<Content> {
    const { kind, method } = attempts.request;
    const { provider, response } = source;
    const { descriptor, origin, body } = response;
    if (kind === 'manifest' && descriptor.size > MAX_MANIFEST_BYTES) {
      body.destroy();
      throw new PeerError('protocol', 'a manifest larger than manifests may be');
    }
    if (method === 'HEAD') return { kind: 'head', descriptor, origin };
    if (!this.#holdBack.takes(kind, descriptor))
      return await this.#stream(attempts, source, signal);
    budget.pause();
    try {
      const whole = await this.#whole(attempts, provider, response, signal);
      const { bytes, room } = await this.#holdBack.read(whole);
      // Whoever comes next pays for it: what is held back is small, and others wait for it.
      this.#download?.charge(bytes.length);
      this.#components.metrics.peerBytes.inc({ direction: 'received' }, bytes.length);
      const content = { kind: 'whole', descriptor: whole.descriptor, origin, bytes } as const;
      if (kind === 'blob') return { ...content, ...(room && { reservation: room }) };
      room?.[Symbol.dispose](); // all who ask for a manifest share it
      this.#components.shared.sizes.note(bytes);
      return content;
    } finally {
      budget.resume();
    }
  }

  /** The answer, or another to a request for all of the content where it is a part: only a whole can be verified. */
  async #whole(
    attempts: PeerAttempts,
    provider: Provider,
    response: PeerResponse,
    signal: AbortSignal,
  ): Promise<PeerResponse> {
    const { descriptor, range, body } = response;
    if (rangeLength(range) === descriptor.size) return response;
    destroyQuietly(body);
    const whole = await attempts.ask(provider, wholeOf(attempts.request), signal);
    if (whole.descriptor.size === descriptor.size) return whole;
    destroyQuietly(whole.body);
    throw new PeerError('protocol', 'another size than a moment before');
  }

  async #stream(attempts: PeerAttempts, source: PeerStream, signal: AbortSignal): Promise<Content> {
    const { descriptor, origin } = source.response;
    const range = rangeOf(attempts.request, descriptor);
    const content = { kind: 'stream', descriptor, origin, range } as const;
    if (await this.#deliveries.isVerifiedByClient(descriptor)) {
      const followed = <T extends BodyChunk>(read: ReadBody<T>): AsyncGenerator<T> =>
        this.#followed(attempts, source, read, signal);
      return { ...content, ...this.#ways(followed, signal) };
    }
    if (rangeLength(range) === descriptor.size) {
      return { ...content, body: this.#checked(attempts, source, signal) };
    }
    // A part cannot be verified by anybody but who has the rest.
    const delivery = new TransferRecord(attempts.request, descriptor);
    const { metrics } = this.#components;
    const part = <T extends BodyChunk>(read: ReadBody<T>): AsyncGenerator<T> =>
      resumingBody(attempts, source, delivery, read, metrics, signal, this.#download);
    return { ...content, ...this.#ways(part, signal) };
  }

  /** The body as a stream and, where there is that way, moved within the kernel; one of the two is to be taken. */
  #ways(
    deliver: <T extends BodyChunk>(read: ReadBody<T>) => AsyncGenerator<T>,
    signal: AbortSignal,
  ): Pick<Content & { kind: 'stream' }, 'body' | 'moveTo'> {
    const { kernel } = this.#components.client;
    const body = deliver(asStream);
    if (kernel === undefined) return { body };
    return {
      body,
      async moveTo(sink) {
        const pieces = deliver((answer) => moveTo(answer, sink, kernel, signal));
        while ((await pieces.next()).done !== true);
      },
    };
  }

  /** For a client that verifies the blob: what becomes of it there is followed. */
  async *#followed<T extends BodyChunk>(
    attempts: PeerAttempts,
    source: PeerStream,
    read: ReadBody<T>,
    signal: AbortSignal,
  ): AsyncGenerator<T> {
    const { metrics } = this.#components;
    const delivery = this.#deliveries.begin(attempts.request, source.response.descriptor);
    try {
      yield* resumingBody(attempts, source, delivery, read, metrics, signal, this.#download);
    } finally {
      this.#deliveries.ended(delivery);
    }
  }

  /** For any other client: it is hashed in passing. */
  async *#checked(
    attempts: PeerAttempts,
    source: PeerStream,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const { metrics } = this.#components;
    const { descriptor } = source.response;
    const delivery = new TransferRecord(attempts.request, descriptor);
    try {
      yield* checkedInPassing(
        resumingBody(attempts, source, delivery, asStream, metrics, signal, this.#download),
        descriptor,
      );
      metrics.deliveryResults.inc({ result: 'right' });
    } catch (error) {
      if (error instanceof PeerError && error.reason === 'digest') {
        void this.#deliveries.foundWrong(delivery);
      }
      throw error;
    }
  }
}

/** Why a request is left to the upstream registry; the label of `peerglass_fall_throughs_total`. */
class NotDelivered extends Error {
  readonly reason: 'no-provider' | 'lookup-timeout' | 'providers-failed' | 'providers-busy';

  constructor(reason: NotDelivered['reason']) {
    super(reason);
    this.reason = reason;
  }
}

function asStream({ body }: PeerResponse): AsyncIterable<Uint8Array> {
  return body as AsyncIterable<Buffer>;
}
