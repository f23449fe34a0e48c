import type { Logger } from 'pino';

import type { TailWriter } from '../content/tail-writer.ts';
import type { Content, ContentSource } from '../content/content-source.ts';
import { verifiedInPassing } from '../content/verified-in-passing.ts';
import { WaitingManifests } from '../content/waiting-manifests.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { rangeLength } from '../oci/byte-range.ts';
import { contentKey, rangeOf, type ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import { discard } from './client/answer-text.ts';
import {
  blobSize,
  fetchBlob,
  openBlob,
  unsized,
  type BlobAnswer,
  type BlobRequest,
  type UnsizedAnswer,
} from './client/blob-answer.ts';
import { fedBody } from './client/fed-body.ts';
import { fetchManifest, headManifest } from './client/manifest-answer.ts';
import type { RegistryClient } from './client/registry-client.ts';
import { resumingBlob, unsizedBlob } from './client/resuming-blob.ts';
import { WrongBodyError } from '../streams/wrong-body-error.ts';
import { toUpstreamError } from './client/upstream-failure.ts';
import { RestTimes } from './rest-times.ts';
import { UpstreamError } from './upstream-error.ts';
import type { UpstreamEndpoint, UpstreamEndpoints } from './where/upstream-endpoints.ts';

/** What an {@link UpstreamSource} uses. */
export interface UpstreamSourceComponents {
  readonly endpoints: Pick<UpstreamEndpoints, 'of'>;
  readonly client: Pick<RegistryClient, 'fetch'>;
  /** Whether the client that asks for the blob verifies it itself, as that of the store does. */
  readonly isVerifiedByClient: (digest: Digest) => Promise<boolean>;
  /** Gets what the client of the store gets, for the followers of this node. Default: they read what that has written. */
  readonly tails?: TailWriter | undefined;
  readonly metrics: Pick<Metrics, 'upstreamRequests' | 'upstreamBytes' | 'upstreamFailures'>;
  /** The registry as the label of a metric. */
  readonly label: (registry: string) => string;
  readonly logger: Logger;
  readonly rests?: RestTimes;
}

/**
 * Content from the registry itself, for the registries of `--upstream`. To be asked last, and for clients of this node
 * only: an agent that has credentials must not lend them.
 */
export class UpstreamSource implements ContentSource {
  readonly #components: UpstreamSourceComponents;
  readonly #rests: RestTimes;
  /** Manifests that were fetched because a HEAD told too little. */
  readonly #waiting = new WaitingManifests();

  constructor(components: UpstreamSourceComponents) {
    this.#components = components;
    this.#rests = components.rests ?? new RestTimes();
  }

  /**
   * Asks the hosts of the registry in their order, until one delivers.
   *
   * @returns undefined for a registry that is not one of `--upstream`
   * @throws OciError with the words of the last one
   */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    const waiting = this.#takeWaiting(request);
    if (waiting !== undefined) return waiting;
    let failure: UpstreamError | undefined;
    for (const endpoint of this.#components.endpoints.of(request.registry)) {
      try {
        this.#rests.check(endpoint, request);
        return await this.#fetchFrom(endpoint, request, signal);
      } catch (error) {
        signal.throwIfAborted();
        failure = toUpstreamError(error, 'protocol', endpoint.base.host);
        this.#failed(endpoint, request, failure);
      }
    }
    if (failure !== undefined) throw failure.toOciError(request);
    return undefined;
  }

  /** Whether a host of the registry serves this node at present, as far as is known. Another node may fetch it otherwise. */
  mayFetch(request: ContentRequest): boolean {
    const endpoints = this.#components.endpoints.of(request.registry);
    const isSpent = (it: UpstreamEndpoint): boolean => this.#rests.isSpent(it, request);
    return endpoints.length === 0 || !endpoints.every(isSpent);
  }

  /** Forgets the manifests that wait. */
  stop(): void {
    this.#waiting.clear();
  }

  async #fetchFrom(
    endpoint: UpstreamEndpoint,
    request: ContentRequest,
    signal: AbortSignal,
  ): Promise<Content> {
    const { kind, method, registry, tag, digest } = request;
    const repository = endpoint.repositoryOf(request.repository);
    const origin = endpoint.base.origin;
    const { client, metrics, label } = this.#components;
    const count = (): void => {
      metrics.upstreamRequests.inc({ registry: label(registry), kind });
    };
    count();
    if (kind === 'blob') {
      if (digest === undefined) throw new TypeError('a blob without a digest');
      const blob = { endpoint, repository, digest };
      if (method === 'GET') return await this.#blob(request, blob, signal);
      const size = await blobSize(client, blob, signal);
      return { kind: 'head', origin, descriptor: { mediaType: MEDIA_TYPE.binary, digest, size } };
    }
    const manifest = { endpoint, repository, tag, digest };
    if (method === 'HEAD') {
      const descriptor = await headManifest(client, manifest, signal);
      if (descriptor !== undefined) return { kind: 'head', origin, descriptor };
      count();
    }
    const { descriptor, bytes } = await fetchManifest(client, manifest, signal);
    this.#arrived(request, bytes.length);
    const whole = { kind: 'whole', origin, descriptor, bytes } as const;
    if (method === 'GET') return whole;
    this.#waiting.add(whole, nameOf(request));
    return { kind: 'head', origin, descriptor };
  }

  /** Under the same name only: this node may have credentials for that one alone. */
  #takeWaiting(request: ContentRequest): Content | undefined {
    const { kind, method, digest } = request;
    if (kind !== 'manifest' || method !== 'GET') return undefined;
    return this.#waiting.take(digest, nameOf(request));
  }

  async #blob(request: ContentRequest, blob: BlobRequest, signal: AbortSignal): Promise<Content> {
    const { client, isVerifiedByClient, tails } = this.#components;
    const { digest, endpoint } = blob;
    const first = await openBlob(client, blob, request.range, signal);
    if (first.size === undefined) return await this.#unsized(request, blob, first);
    const { size } = first;
    const base = {
      origin: endpoint.base.origin,
      descriptor: { mediaType: MEDIA_TYPE.binary, digest, size },
      held: {
        [Symbol.asyncDispose]: () => {
          discard(first.body);
          return Promise.resolve();
        },
      },
    };
    if (size === 0) return { ...base, kind: 'whole', bytes: Buffer.alloc(0) };
    const body = this.#body(request, blob, first, signal);
    const range = rangeOf(request, { size });
    if (await isVerifiedByClient(digest)) {
      const tail = tails?.begin(digest);
      return { ...base, kind: 'stream', body: tail ? fedBody(body, tail, range.start) : body };
    }
    // Only the whole can be verified; a range is left to the client, as with peers.
    if (rangeLength(range) !== size) return { ...base, kind: 'stream', body };
    const mismatch = (): UpstreamError =>
      new UpstreamError('digest', `${endpoint.base.host} sends other bytes than the digest names`);
    return { ...base, kind: 'stream', body: verifiedInPassing(body, digest, mismatch) };
  }

  /** For a client that cannot go to the registry itself; containerd can, and is sent there. */
  async #unsized(
    request: ContentRequest,
    { digest, endpoint }: BlobRequest,
    answer: UnsizedAnswer,
  ): Promise<Content> {
    if (await this.#components.isVerifiedByClient(digest)) {
      discard(answer.body);
      throw unsized(answer.host);
    }
    const onBytes = (length: number): void => {
      this.#arrived(request, length);
    };
    return {
      kind: 'stream',
      isUnsized: true,
      origin: endpoint.base.origin,
      descriptor: { mediaType: MEDIA_TYPE.binary, digest, size: 0 },
      body: wholeOrReset(unsizedBlob(answer, { onBytes }), digest),
      held: {
        [Symbol.asyncDispose]: () => {
          discard(answer.body);
          return Promise.resolve();
        },
      },
    };
  }

  #body(
    request: ContentRequest,
    blob: BlobRequest,
    first: BlobAnswer,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array> {
    const { client, metrics, logger } = this.#components;
    const { digest } = blob;
    return resumingBlob(
      {
        first,
        wanted: rangeOf(request, first),
        again: (rest, inTime) => fetchBlob(client, blob, { kind: 'between', ...rest }, inTime),
        onBytes: (length) => {
          this.#arrived(request, length);
        },
        onResume: (failure) => {
          metrics.upstreamFailures.inc({ reason: failure.reason });
          logger.debug(
            { err: failure, digest },
            'body from a registry broke, it is asked for the rest',
          );
        },
      },
      signal,
    );
  }

  #arrived({ registry }: ContentRequest, length: number): void {
    const { metrics, label } = this.#components;
    metrics.upstreamBytes.inc({ registry: label(registry) }, length);
  }

  #failed(endpoint: UpstreamEndpoint, request: ContentRequest, failure: UpstreamError): void {
    const { metrics, logger } = this.#components;
    this.#rests.failed(endpoint, request, failure);
    metrics.upstreamFailures.inc({ reason: failure.reason });
    const { registry, repository, kind } = request;
    const fields = { registry, repository, kind, key: contentKey(request), reason: failure.reason };
    logger.debug({ err: failure, ...fields }, 'registry does not deliver');
  }
}

function nameOf({ registry, repository }: ContentRequest): string {
  return `${registry}/${repository}`;
}

/** @throws WrongBodyError for whatever goes wrong */
async function* wholeOrReset(
  body: AsyncIterable<Uint8Array>,
  digest: Digest,
): AsyncGenerator<Uint8Array> {
  const mismatch = (): Error => new WrongBodyError('other bytes than the digest names');
  try {
    yield* verifiedInPassing(body, digest, mismatch);
  } catch (error) {
    if (error instanceof WrongBodyError) throw error;
    throw new WrongBodyError('a body of unknown length broke', { cause: error });
  }
}
