import type { IncomingMessage, ServerResponse } from 'node:http';

import type { Logger } from 'pino';

import type { ContentSource } from '../content/content-source.ts';
import type { DataPlane } from '../native/data-plane.ts';
import { socketDescriptor } from '../native/kernel.ts';
import { BoundedLabels } from '../metrics/bounded-labels.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { resolveRange, type ByteRange } from '../oci/byte-range.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import { OciError } from '../oci/errors.ts';
import type { SharePolicy } from '../oci/share-policy.ts';
import { StoreUnavailableError, type ContentStore } from '../store/content-store.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import { MIRRORED_HEADER } from '../transfer/client/peer-client.ts';
import { ownConnection } from '../http/http2-response.ts';
import { isWorthMoving, openLocalBody, type BodySender } from './local-body.ts';
import { findLocal, type LocalContent, type LocalSources } from '../content/local-content.ts';
import { ManifestCache } from '../content/manifest-cache.ts';
import { PeerUploads } from './peer-uploads.ts';
import { parseTarget } from './request-target.ts';
import { moveBody, sendBody, sendWhole, writeContentHead, writeError } from '../http/respond.ts';
import { SingleFlightReads } from '../content/single-flight-reads.ts';

/** What a {@link MirrorHandler} works with. */
export interface MirrorHandlerComponents {
  readonly store: ContentStore;
  readonly transfer: ContentSource;
  readonly policy: SharePolicy;
  /**
   * Whether content of this node is shared, whatever name it is asked by: not when every image that it
   * belongs to is left out. Default: it is.
   */
  readonly sharesDigest?: (digest: Digest) => boolean;
  /** The way for large blobs. Default: they go as streams. */
  readonly dataPlane?: Pick<DataPlane, 'kernel'>;
  /** What is sent to peers; without bounds when absent. */
  readonly uploads?: PeerUploads;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Who answered, as the label `handler` of the HTTP metrics: Spegel's names. */
export type HandlerLabel = 'v2' | 'registry' | 'mirror';

/**
 * Answers the OCI distribution API: from the store of this node first, then from peers, else 404, at which
 * containerd goes to the next host of its hosts.toml.
 */
export class MirrorHandler {
  readonly #sources: LocalSources;
  readonly #transfer: ContentSource;
  readonly #policy: SharePolicy;
  readonly #sharesDigest: (digest: Digest) => boolean;
  readonly #dataPlane: Pick<DataPlane, 'kernel'> | undefined;
  readonly #uploads: PeerUploads;
  readonly #metrics: Metrics;
  readonly #logger: Logger;
  readonly #registries = new BoundedLabels();

  constructor(components: MirrorHandlerComponents) {
    const { store } = components;
    const questions = new SingleFlightReads(store);
    this.#sources = { store, questions, manifests: new ManifestCache() };
    this.#transfer = components.transfer;
    this.#policy = components.policy;
    this.#sharesDigest = components.sharesDigest ?? (() => true);
    this.#dataPlane = components.dataPlane;
    this.#uploads = components.uploads ?? new PeerUploads(components);
    this.#metrics = components.metrics;
    this.#logger = components.logger;
  }

  /**
   * Answers one request; never rejects.
   *
   * @param signal aborted when the client goes away
   * @returns who answered
   */
  async handle(
    req: IncomingMessage,
    res: ServerResponse,
    signal: AbortSignal,
  ): Promise<HandlerLabel> {
    let label: HandlerLabel = 'registry';
    let request: ContentRequest | undefined;
    try {
      const target = parseTarget(req.method, req.url, req.headers);
      if (target.kind === 'version-check') {
        label = 'v2';
        res.setHeader('Docker-Distribution-API-Version', 'registry/2.0');
        res.writeHead(200, { 'Content-Type': 'application/json', 'Content-Length': 2 }).end('{}');
        return label;
      }
      ({ request } = target);
      const fromPeer = req.headers[MIRRORED_HEADER] === 'true';
      if (fromPeer) this.#uploads.report(res);
      this.#refuseUnshared(request);
      if (await this.#serveLocal(request, fromPeer, res, signal)) return label;
      if (fromPeer) throw unknown(request, 'not held by this node');
      label = 'mirror';
      await this.#servePeer(request, res, signal);
    } catch (error) {
      this.#fail(request, res, error, signal);
    }
    return label;
  }

  #refuseUnshared(request: ContentRequest): void {
    const { registry, repository, tag } = request;
    const shared =
      tag === undefined
        ? this.#policy.sharesContent(registry, repository)
        : this.#policy.sharesTag(registry, repository, tag);
    if (shared) return;
    this.#metrics.fallThroughs.inc({ reason: 'not-shared' });
    throw unknown(request, 'left out by the configuration of this mirror');
  }

  async #serveLocal(
    request: ContentRequest,
    toPeer: boolean,
    res: ServerResponse,
    signal: AbortSignal,
  ): Promise<boolean> {
    await using local = await this.#findLocal(request, toPeer, signal);
    if (local === undefined) return false;
    const { descriptor } = local;
    if (!this.#sharesDigest(descriptor.digest)) {
      throw unknown(request, 'left out by the configuration of this mirror');
    }
    const range = rangeToSend(request, descriptor, res);
    const head = {
      descriptor,
      registry: request.registry,
      source: 'local',
      ...(range && { range }),
    };
    if (request.method === 'HEAD' || descriptor.size === 0) {
      writeContentHead(res, head);
      res.end();
      return true;
    }
    const count = (bytes: number): void => {
      if (toPeer) this.#metrics.peerBytes.inc({ direction: 'sent' }, bytes);
    };
    const whole = range ?? { start: 0, end: descriptor.size - 1 };
    if (local.bytes !== undefined) {
      const bytes = local.bytes.subarray(whole.start, whole.end + 1);
      writeContentHead(res, head);
      res.end(bytes);
      count(bytes.length);
      if (toPeer) this.#uploads.charge(bytes.length);
      return true;
    }
    using upload = toPeer ? this.#uploads.begin(descriptor.digest, res) : undefined;
    let send: BodySender;
    try {
      const moved = upload?.pace === undefined && isWorthMoving(local.blob, whole);
      const kernel = moved ? this.#dataPlane?.kernel() : undefined;
      const socket = ownConnection(res);
      const way = { kernel, socket, ...(upload?.pace && { pace: upload.pace }) };
      send = await openLocalBody(local.blob, whole, way, signal);
    } catch (error) {
      signal.throwIfAborted();
      // Nothing has been sent yet: a peer may have what this disk cannot read.
      this.#logger.warn({ err: error, digest: descriptor.digest }, 'local blob cannot be read');
      return false;
    }
    writeContentHead(res, head);
    try {
      await send(res, signal, count);
    } catch (error) {
      // At once: until the file is closed the client may have left, and nobody would hear of the disk.
      this.#fail(request, res, error, signal);
    }
    return true;
  }

  async #findLocal(
    request: ContentRequest,
    toPeer: boolean,
    signal: AbortSignal,
  ): Promise<LocalContent | undefined> {
    try {
      return await findLocal(this.#sources, request, signal);
    } catch (error) {
      signal.throwIfAborted();
      const unavailable = error instanceof StoreUnavailableError;
      // A peer that heard "not found" would take the directory's record for wrong and forget it.
      if (unavailable && toPeer) {
        throw new OciError('UNAVAILABLE', 'the content cannot be read at present', {
          cause: error,
        });
      }
      // Another peer may have it, and containerd goes upstream otherwise: the pull must go on.
      const level = unavailable ? 'debug' : 'warn';
      this.#logger[level]({ err: error, digest: request.digest }, 'local content cannot be read');
      return undefined;
    }
  }

  async #servePeer(
    request: ContentRequest,
    res: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const registry = this.#registries.label(request.registry);
    const content = await this.#transfer.fetch(request, signal);
    const cache = content === undefined ? 'miss' : 'hit';
    this.#metrics.mirrorRequests.inc({ registry, cache, source: 'internal' });
    if (content === undefined) throw unknown(request, 'not found on any peer');
    this.#metrics.mirrorLastSuccess.setToCurrentTime();

    const { descriptor, origin: source } = content;
    const head = { descriptor, registry: request.registry, source };
    switch (content.kind) {
      case 'head':
        writeContentHead(res, head);
        res.end();
        return;
      case 'whole': {
        using reservation = content.reservation;
        const range = rangeToSend(request, descriptor, res);
        writeContentHead(res, { ...head, ...(range && { range }) });
        const { bytes } = content;
        const part = range ? bytes.subarray(range.start, range.end + 1) : bytes;
        await sendWhole(res, part, signal, reservation?.overdue);
        return;
      }
      case 'stream': {
        const partial = request.range === undefined ? {} : { range: content.range };
        writeContentHead(res, { ...head, ...partial });
        const { moveTo } = content;
        if (moveTo !== undefined && socketDescriptor(ownConnection(res)) !== undefined) {
          await moveBody(res, moveTo, signal);
        } else {
          await sendBody(res, content.body, signal, () => undefined);
        }
      }
    }
  }

  #fail(
    request: ContentRequest | undefined,
    res: ServerResponse,
    error: unknown,
    signal: AbortSignal,
  ): void {
    if (signal.aborted) return; // the client has gone: nobody to tell, nothing went wrong
    // The parsed request, not the address as it came: that may hold anything.
    const fields = { err: error, request };
    if (res.headersSent) {
      this.#logger.warn(fields, 'body broke, connection closed for the client to resume');
      return;
    }
    if (error instanceof OciError) {
      this.#logger.debug(fields, 'request answered with an error');
      writeError(res, error);
      return;
    }
    this.#logger.error(fields, 'request failed');
    writeError(res, new OciError('UNKNOWN', 'internal error, see the log of the mirror'));
  }
}

function unknown({ kind }: ContentRequest, detail: string): OciError {
  return new OciError(kind === 'manifest' ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN', detail);
}

/**
 * The interval to send, or `undefined` for all of it.
 *
 * @throws OciError `RANGE_INVALID` when none of it exists; `Content-Range` is set then
 */
function rangeToSend(
  request: ContentRequest,
  { size }: Descriptor,
  res: ServerResponse,
): ByteRange | undefined {
  // containerd asks for `bytes=0-` of everything, of empty blobs too: that is no error, and RFC 9110,
  // section 14.2, lets a server ignore a range.
  if (request.range === undefined || size === 0) return undefined;
  const range = resolveRange(request.range, size);
  if (range === undefined) {
    res.setHeader('Content-Range', `bytes */${size}`);
    throw new OciError('RANGE_INVALID', `the content has ${size} bytes`);
  }
  return range;
}
