import type { Readable } from 'node:stream';

import type { ByteRange } from '../oci/byte-range.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { BlobOnDisk } from './file-state.ts';
import type { Ingests } from './ingests.ts';

/** An image record: a name, exactly as the store holds it, and what it points to. */
export interface StoredImage {
  /** Not yet parsed: it may be a reference, a bare digest (CRI's aliases) or nonsense. */
  readonly name: string;
  readonly target: Descriptor;
}

/** A finished blob: its digest and its length in bytes. */
export interface StoredBlob {
  readonly digest: Digest;
  readonly size: number;
}

/** A blob that stays readable until it is disposed of, even when the store deletes it meanwhile. */
export interface OpenBlob extends StoredBlob, AsyncDisposable {
  /** Absent when the bytes do not come from a file that can be looked at from here. */
  readonly file?: BlobOnDisk;
  /**
   * Descriptor of the file that has the blob's bytes at their places, if it comes from one. Open until the
   * blob is disposed of, which must wait for calls that use it.
   */
  readonly fd?: number;
  /**
   * Streams the interval, which must lie within the blob. The stream ends after exactly that many bytes
   * or fails. To be called at most once; leaving the stream unread is fine.
   */
  stream(range: ByteRange, signal?: AbortSignal): Readable;
}

/** What happened in the store. Each tells where to look, not what is there now: look it up. */
export type StoreChange =
  /** An image record was created or now points elsewhere. */
  | { readonly kind: 'image-set'; readonly name: string }
  | { readonly kind: 'image-deleted'; readonly name: string }
  | { readonly kind: 'blob-added'; readonly digest: Digest }
  | { readonly kind: 'blob-deleted'; readonly digest: Digest }
  /** Changes may have been missed (start, reconnection, overflow): list everything again. */
  | { readonly kind: 'relist' };

/**
 * What the node holds: image records and finished blobs. The port that the containerd store, the OCI image
 * layout store and the memory store implement; `conformance.ts` is its contract in code.
 *
 * Every call rejects with `StoreUnavailableError` while the store cannot be reached, and with the
 * signal's reason when that is aborted.
 */
export interface ContentStore {
  /** Absent when what comes into the store does not come through unfinished downloads that can be looked at. */
  readonly ingests?: Ingests;
  /** All image records, in no order. */
  images(signal?: AbortSignal): Promise<StoredImage[]>;
  /** The record of exactly this name, or `undefined`. */
  image(name: string, signal?: AbortSignal): Promise<StoredImage | undefined>;
  /** All finished blobs, in no order, in batches. */
  blobs(signal?: AbortSignal): AsyncIterable<readonly StoredBlob[]>;
  /** The finished blob's length, or `undefined` when it is not here. */
  stat(digest: Digest, signal?: AbortSignal): Promise<StoredBlob | undefined>;
  /** Opens the finished blob, or gives `undefined` when it is not here. */
  open(digest: Digest, signal?: AbortSignal): Promise<OpenBlob | undefined>;
  /**
   * Follows the store until `signal` is aborted, and then ends. The first change is always `relist`;
   * while the store is out of reach it waits with back-off and says `relist` once it is back. What happens
   * after `relist` was given out is told, so listing on it leaves no gap.
   */
  changes(signal: AbortSignal): AsyncIterable<StoreChange>;
  /**
   * Whether who put the blob there verified its digest then, and its file is untouched since. Absent where
   * nobody verifies.
   */
  verifiedAtCommit?(blob: OpenBlob, signal?: AbortSignal): Promise<boolean>;
}

/** The store cannot be reached at present: containerd is not up, or the folder is gone. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
  readonly code = 'ERR_STORE_UNAVAILABLE';
}
