import type { Logger } from 'pino';

import type { TailWriter } from '../content/tail-writer.ts';
import type { Content, ContentSource, ContentStream } from '../content/content-source.ts';
import { verifiedInPassing } from '../content/verified-in-passing.ts';
import { WaitingManifests } from '../content/waiting-manifests.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { rangeLength } from '../oci/byte-range.ts';
import { contentKey, rangeOf, type ContentRequest } from '../oci/content-request.ts';
import type { Kernel } from '../native/kernel.ts';
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
import type { WidenedBlobInit, WideningInit } from './client/blob-windows.ts';
import { fedBody } from './client/fed-body.ts';
import { fetchManifest, headManifest } from './client/manifest-answer.ts';
import { isMovable, movedBlob, type MovedBlobInit } from './client/moved-blob.ts';
import { WindowBudget } from './client/range-window.ts';
import type { RegistryClient } from './client/registry-client.ts';
import { asStream, bytesOf, type Forwarded, type ReadChunk } from './client/resuming-blob.ts';
import { widenedBlob } from './client/widened-blob.ts';
import { toUpstreamError } from './client/upstream-failure.ts';
import { HashingThread } from '../transfer/verify/hashing-thread.ts';
import { RestTimes, type Asked } from './rest-times.ts';
import { unsizedContent } from './unsized-content.ts';
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
  readonly metrics: Pick<
    Metrics,
    'upstreamRequests' | 'upstreamBytes' | 'upstreamFailures' | 'upstreamWidened'
  >;
  /** The registry as the label of a metric. */
  readonly label: (registry: string) => string;
  readonly logger: Logger;
  readonly rests?: RestTimes;
  /** Who asks for a repository, as the endpoint calls it. Default: no login. See `loginOf`. */
  readonly loginOf?: (endpoint: UpstreamEndpoint, repository: string) => string;
  /** Moves bodies by http. Default: all bodies go through the process. */
  readonly kernel?: (() => Kernel | undefined) | undefined;
  /** Hashes the bodies that are moved. Default: a thread that is made with the first one. */
  readonly thread?: HashingThread;
  /** How many connections one blob may have. Default: one. */
  readonly widening?: WideningInit;
}

/**
 * Content from the registry itself, for the registries of `--upstream`. To be asked last, and for clients of this node
 * only: an agent that has credentials must not lend them.
 */
export class UpstreamSource implements ContentSource {
  readonly #components: UpstreamSourceComponents;
  readonly #rests: RestTimes;
  /** Manifests that were fetched because the answer to HEAD lacked a field. */
  readonly #waiting = new WaitingManifests();
  readonly #thread: HashingThread;
  readonly #widening: WideningInit;

  constructor(components: UpstreamSourceComponents) {
    this.#components = components;
    this.#rests = components.rests ?? new RestTimes();
    this.#thread = components.thread ?? new HashingThread();
    this.#widening = components.widening ?? { connections: 1, budget: new WindowBudget() };
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
        this.#rests.check(endpoint, this.#asked(endpoint, request));
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
    const isSpent = (it: UpstreamEndpoint): boolean =>
      this.#rests.isSpent(it, this.#asked(it, request));
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
    const kernel = this.#components.kernel?.();
    const first = await openBlob(client, blob, request.range, signal);
    if (first.size === undefined) {
      if (!(await isVerifiedByClient(digest))) return this.#unsized(request, blob, first);
      // containerd can go to the registry itself.
      discard(first.body);
      throw unsized(first.host);
    }
    const { size } = first;
    const descriptor = { mediaType: MEDIA_TYPE.binary, digest, size };
    const base = {
      origin: endpoint.base.origin,
      descriptor,
      held: {
        [Symbol.asyncDispose]: () => {
          discard(first.body);
          return Promise.resolve();
        },
      },
    };
    if (size === 0) return { ...base, kind: 'whole', bytes: Buffer.alloc(0) };
    const resuming = this.#resuming(request, blob, first);
    const body = bytesOf(
      widenedBlob<ReadChunk>({ ...resuming, read: asStream, write: asChunk }, signal),
    );
    const range = rangeOf(request, { size });
    const mismatch = (): UpstreamError =>
      new UpstreamError('digest', `${endpoint.base.host} sends other bytes than the digest names`);
    const movable = (
      init: Pick<MovedBlobInit, 'tail' | 'hashed'> = {},
    ): Pick<ContentStream, 'moveTo'> => {
      if (kernel === undefined || !isMovable(first)) return {};
      const parts = { kernel, thread: this.#thread };
      const moved = { ...resuming, ...init, mismatch };
      return { moveTo: (sink) => movedBlob(parts, moved, sink, signal) };
    };
    if (await isVerifiedByClient(digest)) {
      const tail = tails?.begin(digest);
      const fed = tail ? fedBody(body, tail, range.start) : body;
      return { ...base, ...movable({ tail }), kind: 'stream', body: fed };
    }
    // Only the whole can be verified; a range is left to the client, as with peers.
    if (rangeLength(range) !== size) return { ...base, ...movable(), kind: 'stream', body };
    return {
      ...base,
      ...movable({ hashed: descriptor }),
      kind: 'stream',
      body: verifiedInPassing(body, digest, mismatch),
    };
  }

  #unsized(request: ContentRequest, blob: BlobRequest, answer: UnsizedAnswer): Content {
    const onBytes = (length: number): void => {
      this.#arrived(request, length);
    };
    return unsizedContent(blob, answer, { onBytes });
  }

  #resuming(
    request: ContentRequest,
    blob: BlobRequest,
    first: BlobAnswer,
  ): Omit<WidenedBlobInit<Forwarded>, 'read' | 'write'> {
    const { client, metrics, logger } = this.#components;
    const { digest } = blob;
    return {
      first,
      wanted: rangeOf(request, first),
      again: (rest, inTime) => fetchBlob(client, blob, { kind: 'between', ...rest }, inTime),
      widening: this.#widening,
      onBytes: (length) => {
        this.#arrived(request, length);
      },
      onWiden: (connections) => {
        logger.debug(
          { digest, connections },
          'the registry throttles a body, the number of its connections changes',
        );
      },
      onWidened: (outcome) => {
        metrics.upstreamWidened.inc({ outcome });
      },
      onResume: (failure) => {
        metrics.upstreamFailures.inc({ reason: failure.reason });
        logger.debug(
          { err: failure, digest },
          'body from a registry broke, it is asked for the rest',
        );
      },
    };
  }

  #arrived({ registry }: ContentRequest, length: number): void {
    const { metrics, label } = this.#components;
    metrics.upstreamBytes.inc({ registry: label(registry) }, length);
  }

  #asked(endpoint: UpstreamEndpoint, { kind, method, repository }: ContentRequest): Asked {
    const login = this.#components.loginOf?.(endpoint, endpoint.repositoryOf(repository)) ?? '';
    return { kind, method, login };
  }

  #failed(endpoint: UpstreamEndpoint, request: ContentRequest, failure: UpstreamError): void {
    const { metrics, logger } = this.#components;
    this.#rests.failed(endpoint, this.#asked(endpoint, request), failure);
    metrics.upstreamFailures.inc({ reason: failure.reason });
    const { registry, repository, kind } = request;
    const fields = { registry, repository, kind, key: contentKey(request), reason: failure.reason };
    logger.debug({ err: failure, ...fields }, 'registry does not deliver');
  }
}

function nameOf({ registry, repository }: ContentRequest): string {
  return `${registry}/${repository}`;
}

/** What came by another connection, among the chunks of a stream. */
function asChunk(bytes: Uint8Array, _offset: number, waited: number): ReadChunk {
  return { bytes, length: bytes.length, waited };
}
