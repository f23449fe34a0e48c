import type { Content, WholeContent } from '../content/content-source.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { rangeLength } from '../oci/byte-range.ts';
import { rangeOf, wholeOf, type ContentRequest } from '../oci/content-request.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import { MAX_MANIFEST_BYTES } from '../oci/manifest.ts';
import type { Ingest } from '../store/ingests.ts';
import { destroyQuietly } from '../streams/destroy-quietly.ts';
import type { Bandwidth } from './body/bandwidth.ts';
import { moveTo } from './body/moving-body.ts';
import type { BodyTail, TailWriter } from '../content/tail-writer.ts';
import { tailedStream, TailedSink } from './body/tailed-body.ts';
import { ResumingBody, type BodyChunk, type ReadBody } from './body/resuming-body.ts';
import type { PeerClient, PeerResponse } from './client/peer-client.ts';
import { PeerError } from './client/peer-error.ts';
import type { Arrival } from './buffered-answers.ts';
import { DirectBody } from './client/direct/direct-body.ts';
import { asStream, HashedBody, type HashedBodyComponents } from './hashed-body.ts';
import type { KnownSizes } from './select/known-sizes.ts';
import type { PeerAttempts } from './select/peer-attempts.ts';
import type { PeerStream } from './select/peer-race.ts';
import type { RecentRates } from './select/recent-rates.ts';
import type { Attribution } from './verify/attribution.ts';
import { parsePeerManifest } from './verify/peer-manifest.ts';
import { TransferRecord } from './verify/transfer-record.ts';
import { SMALL_BYTES, type VerifiedBuffer } from './verify/verified-buffer.ts';

/**
 * So long the client may wait for a blob that is verified first, in milliseconds, at the rate at which bodies arrive. On a
 * thin link, shared with other pulls, the wait for a blob of some MiB would cost more than it saves: peers that are late are given up, and
 * others asked beside them.
 */
const HELD_BACK_MS = 1_000;

/** Parts of a {@link ContentDelivery}, all of them shared by all requests. */
export interface ContentDeliveryComponents extends Pick<HashedBodyComponents, 'hashingThread'> {
  /** Gives the kernel that can move bodies, if there is one. */
  readonly client: Pick<PeerClient, 'kernel'>;
  readonly verifiedBuffer: VerifiedBuffer;
  /** Bytes up to which blobs are verified first, where that is less than in the buffer. Default: as there. */
  readonly verifiedSize?: number | undefined;
  /** Larger blobs are verified first all the same that take less than this at the recent rates, in milliseconds. Default: 0. */
  readonly verifiedMs?: number | undefined;
  readonly rates: Pick<RecentRates, 'note' | 'typical'>;
  readonly attribution: Attribution;
  /** Learns the sizes of the layers from manifests. */
  readonly sizes: KnownSizes;
  readonly metrics: Metrics;
  /** The rate that all bodies from peers share. Absent: no limit. */
  readonly download?: Bandwidth | undefined;
  /** Gets the bytes of bodies that others follow, as they are forwarded to the client of the store. Default: they go there only. */
  readonly tails?: TailWriter | undefined;
}

/** The chunks of a body, read from peers one way or the other. */
type ReadChunks = <T extends BodyChunk>(read: ReadBody<T>) => AsyncIterable<T>;

/**
 * Makes content of a peer's answer, in one of four ways:
 *
 * - small content is verified whole, before the client gets its first byte, or the answer to its HEAD;
 * - a large blob for the client of the store is cut through, and a commit watch finds out whether it was right;
 * - a large blob for any other client is hashed in passing or beside, and its end is withheld if the digest is wrong;
 * - a range for any other client is cut through without verification, since only the whole blob can be verified.
 */
export class ContentDelivery {
  readonly #components: ContentDeliveryComponents;

  constructor(components: ContentDeliveryComponents) {
    this.#components = components;
  }

  /**
   * @param arrival ends small content while it arrives, and learns how that goes on
   * @param signal ends everything, the body included
   * @throws PeerError when the answer cannot become content
   */
  async deliver(
    attempts: PeerAttempts,
    stream: PeerStream,
    arrival: Arrival,
    signal: AbortSignal,
  ): Promise<Content> {
    const { kind, method } = attempts.request;
    const { descriptor, origin, body } = stream.response;
    if (kind === 'manifest' && descriptor.size > MAX_MANIFEST_BYTES) {
      body.destroy();
      throw new PeerError('protocol', 'manifest too large');
    }
    if (!this.#isVerifiedFirst(kind, descriptor)) {
      if (method === 'HEAD') return { kind: 'head', descriptor, origin };
      return await this.#stream(attempts, stream, signal);
    }
    const content = await this.#verifiedWhole(attempts, stream, arrival);
    return method === 'HEAD' ? headOf(content) : content;
  }

  #isVerifiedFirst(kind: ContentRequest['kind'], descriptor: Descriptor): boolean {
    const { verifiedBuffer, verifiedSize = Infinity, verifiedMs = 0, rates } = this.#components;
    const { typical } = rates;
    const inTime = Math.max(SMALL_BYTES, ((typical ?? Infinity) * HELD_BACK_MS) / 1000);
    const wanted = Math.max(verifiedSize, ((typical ?? 0) * verifiedMs) / 1000);
    if (kind === 'blob' && descriptor.size > Math.min(wanted, inTime)) return false;
    return verifiedBuffer.accepts(kind, descriptor);
  }

  async #verifiedWhole(
    attempts: PeerAttempts,
    stream: PeerStream,
    { signal, isBuffered, begins }: Arrival,
  ): Promise<WholeContent> {
    const { verifiedBuffer, sizes, metrics, download, rates } = this.#components;
    const { size } = stream.response.descriptor;
    isBuffered(size);
    const whole = await requestWhole(attempts, stream, signal);
    const { registry, repository } = attempts.request;
    const { peerId } = stream.provider;
    const groups = [`image ${registry}/${repository}`, `peer ${peerId}`];
    const onBegin = (): void => {
      begins(size);
    };
    const onEnd = (received: number, milliseconds: number): void => {
      if (!attempts.follows) rates.note(peerId, received, milliseconds);
    };
    const read = await verifiedBuffer.read(whole, { groups, onBegin, onEnd }, signal);
    const { bytes, reservation } = read;
    // Small content is not delayed: later bodies wait for its share of the rate.
    download?.charge(bytes.length);
    metrics.peerBytes.inc({ direction: 'received' }, bytes.length);
    const { descriptor } = whole;
    for (const provider of attempts.sizes.contradicting(descriptor)) {
      attempts.missed(provider, new PeerError('protocol', 'another size than the content has'));
    }
    const content = { kind: 'whole', descriptor, origin: stream.response.origin, bytes } as const;
    if (attempts.request.kind === 'blob') {
      return { ...content, ...(reservation && { reservation }) };
    }
    // All requests for the manifest at this moment share its bytes, so no client alone holds the memory.
    reservation?.[Symbol.dispose]();
    const manifest = parsePeerManifest(bytes, descriptor);
    if (manifest !== undefined) sizes.note(attempts.request, manifest.children);
    return content;
  }

  async #stream(attempts: PeerAttempts, stream: PeerStream, signal: AbortSignal): Promise<Content> {
    const { descriptor, origin } = stream.response;
    attempts.sizes.settle();
    const range = rangeOf(attempts.request, descriptor);
    // What a client that is refused never reads: the body that has begun, and the ingest that it would be written to.
    const held = new AsyncDisposableStack();
    held.defer(() => {
      destroyQuietly(stream.response.body);
    });
    const isGrowing = attempts.follows;
    const content = { kind: 'stream', descriptor, origin, held, isGrowing } as const;
    const ingest = await this.#components.attribution.openIngest(descriptor);
    if (ingest !== undefined) {
      const { tails } = this.#components;
      const tail = tails?.begin(descriptor.digest);
      const unread = held.use(new AsyncDisposableStack());
      unread.use(ingest);
      const takeIngest = (): Ingest | undefined => {
        if (unread.disposed) return undefined;
        unread.move();
        return ingest;
      };
      const watched: ReadChunks = (read) =>
        this.#watched(attempts, stream, read, takeIngest, signal, tail);
      return { ...content, ...this.#cutThrough(watched, signal, tail) };
    }
    const record = new TransferRecord(attempts.request, descriptor);
    if (rangeLength(range) === descriptor.size) {
      return { ...content, ...this.#hashed(attempts, stream, record, signal) };
    }
    const unverified: ReadChunks = (read) => this.#resuming(attempts, stream, record, read, signal);
    return { ...content, ...this.#cutThrough(unverified, signal) };
  }

  /** Forwards the body as a stream or, where that is possible, within the kernel. The caller takes one of the two. */
  #cutThrough(
    readChunks: ReadChunks,
    signal: AbortSignal,
    tail?: BodyTail,
  ): Pick<Content & { kind: 'stream' }, 'body' | 'moveTo'> {
    const { kernel } = this.#components.client;
    const body = readChunks(tail === undefined ? asStream : (it) => tailedStream(it, tail));
    if (kernel === undefined) return { body };
    return {
      body,
      async moveTo(sink) {
        const moved = readChunks((answer) => {
          const to = tail === undefined ? sink : new TailedSink(sink, tail, answer.range.start);
          return moveTo(answer, to, kernel, signal);
        });
        const chunks = moved[Symbol.asyncIterator]();
        while ((await chunks.next()).done !== true);
      },
    };
  }

  /** For a client that verifies the blob: a commit watch begins when the body ends. */
  async *#watched<T extends BodyChunk>(
    attempts: PeerAttempts,
    stream: PeerStream,
    read: ReadBody<T>,
    takeIngest: () => Ingest | undefined,
    signal: AbortSignal,
    tail?: BodyTail,
  ): AsyncGenerator<T> {
    const { attribution } = this.#components;
    const { descriptor } = stream.response;
    const record = attribution.recordFor(attempts.request, descriptor);
    const ingest = Promise.resolve(takeIngest());
    try {
      yield* this.#resuming(attempts, stream, record, read, signal);
    } finally {
      tail?.[Symbol.dispose]();
      attribution.bodyEnded(record, ingest);
    }
  }

  /** For any other client that requests the whole blob. The caller takes one of the two. */
  #hashed(
    attempts: PeerAttempts,
    stream: PeerStream,
    record: TransferRecord,
    signal: AbortSignal,
  ): Pick<Content & { kind: 'stream' }, 'body' | 'moveTo'> {
    const { client, hashingThread } = this.#components;
    const { kernel } = client;
    const { body, descriptor } = stream.response;
    const hashed = new HashedBody(this.#components, {
      record,
      resuming: (read, inTime) => this.#resuming(attempts, stream, record, read, inTime),
    });
    const chunks = hashed.chunks(signal);
    const isMovable = body instanceof DirectBody && hashingThread.isWorthwhile(descriptor.size);
    if (kernel === undefined || !isMovable) return { body: chunks };
    return { body: chunks, moveTo: (sink) => hashed.moveTo(sink, kernel, signal) };
  }

  #resuming<T extends BodyChunk>(
    attempts: PeerAttempts,
    first: PeerStream,
    record: TransferRecord,
    read: ReadBody<T>,
    signal: AbortSignal,
  ): ResumingBody<T> {
    const { metrics, download } = this.#components;
    if (attempts.follows) record.follows();
    return new ResumingBody({ attempts, record, metrics, download }, { first, read }, signal);
  }
}

/**
 * The answer, or where it is only a part or that to a HEAD, the answer to a request for the whole: only a whole can be
 * verified.
 */
async function requestWhole(
  attempts: PeerAttempts,
  { provider, response }: PeerStream,
  signal: AbortSignal,
): Promise<PeerResponse> {
  const { request } = attempts;
  const { descriptor, range, body } = response;
  if (request.method === 'GET' && rangeLength(range) === descriptor.size) return response;
  destroyQuietly(body);
  const whole = await attempts.ask(provider, { ...wholeOf(request), method: 'GET' }, signal);
  if (whole.descriptor.size === descriptor.size) return whole;
  destroyQuietly(whole.body);
  attempts.sizes.dismiss(provider);
  throw new PeerError('protocol', 'another size than in the answer before');
}

/** What a HEAD of verified content is answered with: a wrong length would fail the client's pull. */
function headOf({ descriptor, origin, reservation }: WholeContent): Content {
  reservation?.[Symbol.dispose]();
  return { kind: 'head', descriptor, origin };
}
