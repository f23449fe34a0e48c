import type { Socket } from 'node:net';

import type { Sink } from '../native/sink.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import type { Descriptor } from '../oci/descriptor.ts';

/** Memory that holds bytes on their way to a client. To be disposed of once they have been sent. */
interface Reservation extends Disposable {
  /** Aborted when the client takes too long and others wait for the memory. */
  readonly overdue: AbortSignal;
}

/** The origin of content that this node holds. */
export const LOCAL_ORIGIN = 'local';

/** What all content has, in whatever way its bytes come. */
export interface ContentBase {
  readonly descriptor: Descriptor;
  /** Where the content comes from: {@link LOCAL_ORIGIN}, or the base URL of a peer's mirror. */
  readonly origin: string;
  /** What the content keeps open, such as a file or a connection. To be disposed of once the answer has ended. */
  readonly held?: AsyncDisposable;
  /**
   * Whether the content is still arriving, unverified, so that its body waits for bytes in the middle. The head is sent at
   * once, and `bytes=0-` is answered with 200: after a 206 containerd would fetch it by several requests at once, each of
   * which waits. Absent for content that is all there.
   */
  readonly isGrowing?: boolean;
  /**
   * Whether nothing says how many bytes there are: the size of the descriptor is 0 and means nothing, and a stream has all
   * of the content whatever range the request names. It fails by `WrongBodyError`, at which the connection is reset, since
   * its end tells the client that it has all.
   */
  readonly isUnsized?: boolean;
}

/** Content that a source gives for a request. */
export type Content = ContentBase &
  (
    | {
        /** The descriptor is all: the answer to a HEAD. */
        readonly kind: 'head';
      }
    | {
        /** All of the content, whatever range the request names, verified against its digest. */
        readonly kind: 'whole';
        readonly bytes: Buffer;
        /** Absent for small content, whose memory is not accounted for. */
        readonly reservation?: Reservation;
      }
    | ContentStream
  );

/** Content that came whole. */
export type WholeContent = Content & { readonly kind: 'whole' };

/** The bytes of the range that the request names. They are read while they are sent, once, in one of two ways. */
export interface ContentStream {
  readonly kind: 'stream';
  /** The bytes as chunks. */
  readonly body: AsyncIterable<Uint8Array>;
  /**
   * Moves the bytes to a plain connection within the kernel. Resolves when all of them are there, or when the client
   * has closed the connection. Absent where the kernel cannot.
   */
  readonly moveTo?: ((sink: Sink) => Promise<void>) | undefined;
  /**
   * Resolves when the first bytes can be read in the way that is going to be used. Called before the head of the answer
   * is written: when it rejects, nothing has been sent yet, and the next source is tried. Absent where the first bytes
   * have arrived already.
   */
  readonly ready?: (way: 'body' | 'moveTo') => Promise<void>;
  /** Absent in a body that never waits for bytes to arrive, or bounds that wait itself. */
  readonly growth?: Growth;
}

/** The body of content that is still arriving, as the answer needs to know it. */
export interface Growth {
  /** Whether the body waits for bytes to arrive, so that the client is not what is slow. */
  readonly isWaiting: boolean;
  /** How often the body has begun to wait. */
  readonly waits: number;
  /** Aborted when the body has to end before its last byte, with the reason that it is going to fail with. */
  readonly ended: AbortSignal;
  /** Called before the first byte, with the connection that the body has for itself. Not called by HTTP/2. */
  attach(socket: Socket): void;
}

/** Where content may come from: the local store, peers, later a download in progress and the upstream registry. */
export interface ContentSource {
  /**
   * @param signal ends everything, the body included
   * @returns `undefined` when the source does not have the content
   * @throws SourceUnavailableError when the source cannot be read at present, so that it may have the content
   * @throws OciError when the source knows how the request is to be answered
   */
  fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined>;
  /**
   * Why a fetch for this very request gave nothing: a label of `peerglass_fall_throughs_total`. `undefined` when the
   * source does not know, as when another request has fetched for it. Absent in a source that gives no reasons.
   */
  reasonFor?(request: ContentRequest): string | undefined;
}

/** The source cannot be read at present. Its `cause` is the reason. */
export class SourceUnavailableError extends Error {
  override readonly name = 'SourceUnavailableError';
  readonly code = 'ERR_SOURCE_UNAVAILABLE';
}
