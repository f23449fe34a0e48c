import type { Readable } from 'node:stream';

import type { ByteRange } from '../oci/byte-range.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { BlobOnDisk } from './file-state.ts';
import type { Ingests } from './ingests.ts';
import type { Provenance } from './provenance.ts';

/** An image record: a name, exactly as the store has it, and its target. */
export interface StoredImage {
  /** Not parsed: a reference, a bare digest (an alias of the CRI), or any other text. */
  readonly name: string;
  readonly target: Descriptor;
}

/** A finished blob: its digest and its length in bytes. */
export interface StoredBlob {
  readonly digest: Digest;
  readonly size: number;
}

/** A blob that stays readable until it is disposed of, also when the store deletes it meanwhile. */
export interface OpenBlob extends StoredBlob, AsyncDisposable {
  /** Absent when the bytes do not come from a file that this process can see. */
  readonly file?: BlobOnDisk;
  /**
   * Descriptor of the file that has the blob's bytes at their places, if there is one. Open until the blob is
   * disposed of. Dispose of it only after the calls that use the descriptor have ended.
   */
  readonly fd?: number;
  /**
   * Streams a range, which must lie within the blob. The stream ends after exactly that many bytes, or fails. It may
   * be left unread. To be called at most once.
   *
   * @throws RangeError; Error when called again
   */
  stream(range: ByteRange, signal?: AbortSignal): Readable;
}

/** A change in the store. It names what changed; the present state has to be looked up. */
export type StoreChange =
  /** An image record was created or now points elsewhere. */
  | { readonly kind: 'image-set'; readonly name: string }
  | { readonly kind: 'image-deleted'; readonly name: string }
  | { readonly kind: 'blob-added'; readonly digest: Digest }
  | { readonly kind: 'blob-deleted'; readonly digest: Digest }
  /** Changes may have been missed (start, reconnection, overflow): list everything again. */
  | { readonly kind: 'relist' };

/**
 * The content of the node: image records and finished blobs. The containerd store, the OCI image layout store and the
 * memory store implement this port. `testing/conformance/content-store.ts` is its contract in code.
 *
 * Every call rejects with `StoreUnavailableError` while the store cannot be reached, and with the signal's reason
 * when that is aborted.
 */
export interface ContentStore {
  /** Unfinished downloads. Absent in a store that has none, or none that this process can see. */
  readonly ingests?: Ingests;
  /**
   * Which images were pulled. Undefined in a store whose images are from no registry: all of them count as imported, so that a
   * store in front of another must not leave it out.
   */
  readonly provenance: Provenance | undefined;
  /** All image records, in no order. */
  images(signal?: AbortSignal): Promise<StoredImage[]>;
  /** The record of exactly this name, or `undefined`. */
  image(name: string, signal?: AbortSignal): Promise<StoredImage | undefined>;
  /** All finished blobs, in no order, in batches. */
  blobs(signal?: AbortSignal): AsyncIterable<readonly StoredBlob[]>;
  /** The finished blob's length, or `undefined` when the store does not hold it. */
  stat(digest: Digest, signal?: AbortSignal): Promise<StoredBlob | undefined>;
  /** Opens the finished blob; `undefined` when the store does not hold it. */
  open(digest: Digest, signal?: AbortSignal): Promise<OpenBlob | undefined>;
  /**
   * Follows the store until `signal` is aborted, and then ends. The first change is always `relist`. While the store
   * cannot be reached there are no changes, and a `relist` follows once it is back. No change after a `relist` is
   * left out, so a consumer that lists everything on `relist` misses nothing.
   */
  changes(signal: AbortSignal): AsyncIterable<StoreChange>;
  /**
   * Whether the blob's digest was verified when it was committed, and its file is unchanged since. Absent in a store
   * whose writers do not verify.
   */
  verifiedAtCommit?(blob: OpenBlob, signal?: AbortSignal): Promise<boolean>;
  /**
   * Path of the blob's file when the store has a record of the blob and the file is gone, as after a power loss;
   * otherwise `undefined`. Absent in a store without records of its blobs.
   */
  lostFile?(digest: Digest, signal?: AbortSignal): Promise<string | undefined>;
}

/** The store cannot be reached at present: containerd is down, or the folder is missing. */
export class StoreUnavailableError extends Error {
  override readonly name = 'StoreUnavailableError';
  readonly code = 'ERR_STORE_UNAVAILABLE';
}
