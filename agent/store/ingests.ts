import type { Digest } from '../oci/digest.ts';

/**
 * How an unfinished download stands: not all of its bytes are there; all are, and it may be committed at any
 * moment; or the store has removed it, committed or not.
 */
export type IngestState = 'arriving' | 'whole' | 'removed';

/** An unfinished download, open: its bytes can be read until it is disposed of, even after it was removed. */
export interface Ingest extends AsyncDisposable {
  readonly digest: Digest;
  state(): Promise<IngestState>;
  /**
   * Whether its bytes are those of the digest; `undefined` when there are not as many as it should have. Reads
   * all of them, without holding up the event loop.
   */
  verify(signal: AbortSignal): Promise<boolean | undefined>;
  /**
   * Has the store give it up and remove its bytes, if it is still as it was when it was found to be wrong.
   *
   * @returns whether it was there to be removed
   * @throws StoreUnavailableError
   */
  abort(signal: AbortSignal): Promise<boolean>;
}

/**
 * Unfinished downloads of the client that the store belongs to, which verifies what it commits. A download that
 * is not among them is somebody else's, who may verify nothing.
 */
export interface Ingests {
  /** Whether there is one of this digest. */
  has(digest: Digest): Promise<boolean>;
  /** Opens the one of this digest. */
  open(digest: Digest): Promise<Ingest | undefined>;
}
