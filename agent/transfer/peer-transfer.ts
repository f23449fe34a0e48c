import { createHash } from 'node:crypto';

import type { Logger } from 'pino';

import type { Metrics } from '../metrics/metrics.ts';
import { rangeLength, type ByteRange, type RangeRequest } from '../oci/byte-range.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { digestAlgorithm, digestHex } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import type { Provider, Router } from '../routing/router.ts';
import { contentKey, type ContentRequest } from './content-request.ts';
import type { PeerClient, PeerResponse } from './peer-client.ts';
import { PeerError, toPeerError } from './peer-error.ts';
import { ProviderSearch } from './provider-search.ts';

/** Content up to this many bytes is held back until its digest is verified. */
const HOLD_BACK_BYTES = MAX_MANIFEST_BYTES;

/** Most peers that are asked for one body, from first to last. */
const MAX_SOURCES = 32;

/** Addresses of one peer that are tried; a dual-stack node has two. */
const MAX_ORIGINS = 3;

/** What a {@link PeerTransfer} works with. */
export interface PeerTransferComponents {
  readonly router: Pick<Router, 'lookup' | 'forget'>;
  readonly client: PeerClient;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Bounds of a transfer. */
export interface PeerTransferInit {
  /** `--mirror-resolve-timeout`: how long the directory may take to name a provider, in milliseconds. */
  readonly resolveTimeout: number;
  /** `--mirror-resolve-retries`: how often that wait is repeated, and how many failed peers are followed by another. */
  readonly resolveRetries: number;
  /** From the request to the head of a good answer, over all peers, in milliseconds. Default 2500. */
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

/** No peer delivers any more of a body that has begun. */
export class BodyBrokenError extends Error {
  override readonly name = 'BodyBrokenError';
  readonly code = 'ERR_BODY_BROKEN';
}

/** Gets content from whichever peer delivers it. */
export class PeerTransfer {
  readonly #router: Pick<Router, 'lookup' | 'forget'>;
  readonly #client: PeerClient;
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #init: Required<PeerTransferInit>;

  constructor(components: PeerTransferComponents, init: PeerTransferInit) {
    this.#router = components.router;
    this.#client = components.client;
    this.#metrics = components.metrics;
    this.#logger = components.logger;
    this.#init = { firstByteBudget: 2_500, ...init };
  }

  /**
   * Asks peers in turn until one answers well.
   *
   * @param signal ends everything, the body included
   * @returns `undefined` when no peer has it or none answers in time
   * @throws OciError `RANGE_INVALID` when the holders agree that the range is not satisfiable
   */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<PeerContent | undefined> {
    const start = performance.now();
    const excluded = new Set<string>();
    const late = new AbortController();
    const timer = setTimeout(() => {
      late.abort(new PeerError('timeout', 'no peer answered in time'));
    }, this.#init.firstByteBudget);
    try {
      const content = await this.#first(request, excluded, signal, late.signal);
      if (content !== undefined) {
        this.#metrics.firstByte.observe((performance.now() - start) / 1000);
      }
      return content;
    } finally {
      clearTimeout(timer);
    }
  }

  async #first(
    request: ContentRequest,
    excluded: Set<string>,
    signal: AbortSignal,
    late: AbortSignal,
  ): Promise<PeerContent | undefined> {
    using search = this.#search(request, excluded, AbortSignal.any([signal, late]));
    let failures = 0;
    let unsatisfiable = false;
    while (failures <= this.#init.resolveRetries && excluded.size < MAX_SOURCES && !late.aborted) {
      const found = await search.next();
      if (found.kind !== 'provider') {
        signal.throwIfAborted();
        if (unsatisfiable) break;
        const reason = found.kind === 'timeout' ? 'lookup-timeout' : 'no-provider';
        this.#metrics.fallThroughs.inc({ reason: failures === 0 ? reason : 'providers-failed' });
        return undefined;
      }
      try {
        return await this.#open(request, found.provider, excluded, signal, late);
      } catch (error) {
        signal.throwIfAborted();
        const failure = this.#fail(request, found.provider, excluded, error);
        // A record that is out of date costs one round trip and says nothing about the next peer.
        if (failure.reason !== 'not-found') failures += 1;
        unsatisfiable ||= failure.reason === 'range';
      }
    }
    if (unsatisfiable) throw new OciError('RANGE_INVALID', 'no byte of the range exists');
    this.#metrics.fallThroughs.inc({ reason: 'providers-failed' });
    return undefined;
  }

  async #open(
    request: ContentRequest,
    provider: Provider,
    excluded: Set<string>,
    signal: AbortSignal,
    late: AbortSignal,
  ): Promise<PeerContent> {
    // A manifest is always fetched whole: it is small, and only whole it can be verified.
    const asked = request.kind === 'manifest' ? undefined : request.range;
    const headSignal = AbortSignal.any([signal, late]);
    if (request.method === 'HEAD') {
      const { descriptor, origin, body } = await this.#ask(
        provider,
        request,
        undefined,
        headSignal,
      );
      body.resume();
      return { kind: 'head', descriptor, origin };
    }

    // The body may outlive the budget for its first byte: only the caller's signal ends it.
    const response = await this.#ask(provider, request, asked, signal);
    const { descriptor, origin, range, body } = response;
    if (request.kind === 'manifest' && descriptor.size > MAX_MANIFEST_BYTES) {
      body.destroy();
      throw new PeerError('protocol', 'a manifest larger than manifests may be');
    }
    if (rangeLength(range) === descriptor.size && descriptor.size <= HOLD_BACK_BYTES) {
      const bytes = await this.#verified(descriptor, response);
      return { kind: 'whole', descriptor, origin, bytes };
    }
    const tail = this.#resuming(request, provider, response, excluded, signal);
    return { kind: 'stream', descriptor, origin, range, body: tail };
  }

  async #verified(descriptor: Descriptor, { body }: PeerResponse): Promise<Buffer> {
    const hash = createHash(digestAlgorithm(descriptor.digest));
    const chunks: Buffer[] = [];
    let length = 0;
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        length += chunk.length;
        if (length > descriptor.size) throw new PeerError('protocol', 'more bytes than declared');
        hash.update(chunk);
        chunks.push(chunk);
      }
    } catch (error) {
      throw toPeerError(error, 'body');
    }
    this.#metrics.peerBytes.inc({ direction: 'received' }, length);
    if (length !== descriptor.size) throw new PeerError('body', 'body ended early');
    if (hash.digest('hex') !== digestHex(descriptor.digest)) {
      throw new PeerError('digest', 'bytes do not match their digest');
    }
    return Buffer.concat(chunks);
  }

  /** Yields the range's bytes, turning to other peers from the exact byte where one fails. */
  async *#resuming(
    request: ContentRequest,
    first: Provider,
    response: PeerResponse,
    excluded: Set<string>,
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    const { descriptor, range } = response;
    let source = { provider: first, body: response.body };
    let position = range.start;
    for (;;) {
      try {
        for await (const chunk of source.body as AsyncIterable<Buffer>) {
          if (position + chunk.length > range.end + 1) {
            throw new PeerError('protocol', 'more bytes than declared');
          }
          position += chunk.length;
          this.#metrics.peerBytes.inc({ direction: 'received' }, chunk.length);
          yield chunk;
        }
        if (position === range.end + 1) return;
        throw new PeerError('body', 'body ended early');
      } catch (error) {
        signal.throwIfAborted();
        if (position === range.end + 1) return;
        this.#fail(request, source.provider, excluded, toPeerError(error, 'body'));
      } finally {
        source.body.destroy();
      }
      const rest = { start: position, end: range.end };
      const next = await this.#resume(request, descriptor, rest, excluded, signal);
      this.#metrics.resumes.inc({ result: next === undefined ? 'broken' : 'resumed' });
      if (next === undefined) {
        throw new BodyBrokenError(`no peer left at byte ${position} of ${descriptor.size}`);
      }
      source = next;
    }
  }

  async #resume(
    request: ContentRequest,
    descriptor: Descriptor,
    rest: ByteRange,
    excluded: Set<string>,
    signal: AbortSignal,
  ): Promise<{ provider: Provider; body: PeerResponse['body'] } | undefined> {
    // Asked anew, so that those who have come to hold it since the body began are found.
    using search = this.#search(request, excluded, signal);
    const pinned = { ...request, digest: descriptor.digest };
    while (excluded.size < MAX_SOURCES) {
      const found = await search.next();
      if (found.kind !== 'provider') return undefined;
      try {
        const response = await this.#ask(
          found.provider,
          pinned,
          { kind: 'between', ...rest },
          signal,
        );
        if (response.descriptor.size !== descriptor.size) {
          response.body.destroy();
          throw new PeerError('protocol', 'another size than the peer before');
        }
        return { provider: found.provider, body: response.body };
      } catch (error) {
        signal.throwIfAborted();
        this.#fail(request, found.provider, excluded, error);
      }
    }
    return undefined;
  }

  #search(
    request: ContentRequest,
    excluded: ReadonlySet<string>,
    signal: AbortSignal,
  ): ProviderSearch {
    const { resolveTimeout, resolveRetries } = this.#init;
    const onFirst = (seconds: number): void => {
      this.#metrics.resolveDuration.observe({ router: 'libp2p' }, seconds);
    };
    const init = { timeout: resolveTimeout, retries: resolveRetries, excluded, onFirst };
    return new ProviderSearch(this.#router, contentKey(request), init, signal);
  }

  /** Asks a peer at its addresses in turn; another address helps only when the first cannot be reached. */
  async #ask(
    provider: Provider,
    request: ContentRequest,
    range: RangeRequest | undefined,
    signal: AbortSignal,
  ): Promise<PeerResponse> {
    let failure = new PeerError('connect', 'no address');
    for (const origin of provider.origins.slice(0, MAX_ORIGINS)) {
      try {
        return await this.#client.fetch(origin, request, range, signal);
      } catch (error) {
        failure = toPeerError(error, 'connect');
        if (signal.aborted || failure.reason !== 'connect') break;
      }
    }
    throw failure;
  }

  #fail(
    request: ContentRequest,
    { peerId }: Provider,
    excluded: Set<string>,
    error: unknown,
  ): PeerError {
    const failure = toPeerError(error, 'body');
    const key = contentKey(request);
    excluded.add(peerId);
    this.#metrics.peerFailures.inc({ reason: failure.reason });
    if (failure.reason === 'not-found' || failure.reason === 'digest') {
      this.#router.forget(key, peerId);
    }
    const fields = { key, peer: peerId, reason: failure.reason, err: failure };
    if (failure.reason === 'digest') this.#logger.warn(fields, 'peer sent wrong bytes');
    else this.#logger.debug(fields, 'peer did not deliver');
    return failure;
  }
}
