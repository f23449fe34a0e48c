import type { Sink } from '../native/sink.ts';
import type { ByteRange } from '../oci/byte-range.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import type { Descriptor } from '../oci/descriptor.ts';

/** Memory that bytes on their way to a client take; to be disposed of when they are sent. */
interface Reservation extends Disposable {
  /** Aborted when the client took too long and the memory is needed by others. */
  readonly overdue: AbortSignal;
}

/** Content that a source gives for a request. */
export type Content = {
  readonly descriptor: Descriptor;
  /** Base URL of the mirror that the content comes from. */
  readonly origin: string;
} & (
  | {
      /** Answer to a HEAD. */
      readonly kind: 'head';
    }
  | {
      /** All of the content, verified against its digest. */
      readonly kind: 'whole';
      readonly bytes: Buffer;
      /** Absent for small content, whose memory is not accounted for. */
      readonly reservation?: Reservation;
    }
  | {
      /** The bytes of `range`. */
      readonly kind: 'stream';
      readonly range: ByteRange;
      readonly body: AsyncIterable<Uint8Array>;
      /** Moves the bytes to a connection within the kernel, instead of reading `body`. */
      readonly moveTo?: (sink: Sink) => Promise<void>;
    }
);

/** A place where content may come from: the local store, peers, later a download in progress and upstream. */
export interface ContentSource {
  /**
   * @param signal ends everything, the body included
   * @returns `undefined` when the source does not have the content
   * @throws OciError when the source knows how the request is to be answered
   */
  fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined>;
}
