import type { Readable } from 'node:stream';

import type { ByteRange } from '../oci/byte-range.ts';
import type { Digest } from '../oci/digest.ts';

/**
 * The state of an unfinished download: `arriving` while bytes are missing; `whole` when all are there and it may be
 * committed at any moment; `removed` when the store no longer has it, because it was committed or aborted.
 */
export type IngestState = 'arriving' | 'whole' | 'removed';

/** How far an unfinished download has come. */
export interface IngestProgress {
  /** Bytes that are there, from the first one on. They are not verified, and stay readable until disposal. */
  readonly offset: number;
  /** Bytes of the finished content: its `Content-Length`. `undefined` when the client did not know it. */
  readonly total: number | undefined;
  readonly state: IngestState;
}

/**
 * An unfinished download, opened. Its bytes can be read until it is disposed of, also after it was committed or
 * aborted. They are unverified: the store verifies them at commit.
 *
 * To follow one from `offset`: read `[offset, progress().offset)`, then `waitForMore`, and so on until `offset`
 * equals `total`. If it is `removed` before that, the missing bytes have to come from another source. A commit
 * does not disturb a follower: all bytes are there then. Whether a removed one was committed,
 * `ContentStore.stat` knows.
 */
export interface Ingest extends AsyncDisposable {
  readonly digest: Digest;
  /** As {@link IngestProgress.total}. */
  readonly total: number | undefined;
  /**
   * Descriptor of the file that has the bytes at their places, if they are in one: for `sendfile` up to
   * `progress().offset`. Open until the ingest is disposed of, which must wait for calls that use it.
   */
  readonly fd?: number;
  state(): Promise<IngestState>;
  progress(): Promise<IngestProgress>;
  /**
   * Resolves when there are bytes beyond `offset`, and when the download is `whole` or `removed`. Resolves at once
   * when that is so already. A download that restarts from its first byte has fewer bytes for a while; it is waited
   * for until it is beyond `offset` again.
   *
   * @throws the signal's reason; Error when the ingest is disposed of meanwhile
   */
  waitForMore(offset: number, signal: AbortSignal): Promise<IngestProgress>;
  /**
   * Streams a range. It ends after exactly that many bytes, or fails: it neither waits for bytes that have not
   * arrived nor ends before them, so a short body cannot be taken for a complete one. Any number of ranges may be
   * read at the same time; disposal destroys the streams.
   *
   * @param range within `progress().offset`
   * @throws RangeError at once when the range cannot lie within the content
   */
  read(range: ByteRange, signal?: AbortSignal): Readable;
  /**
   * Hashes all bytes, without holding up the event loop. `undefined` when some are missing.
   *
   * @returns whether they have the digest
   */
  verify(signal: AbortSignal): Promise<boolean | undefined>;
  /**
   * Removes the download from the store, if `verify` found it wrong and it has not changed since.
   *
   * @returns whether there was something to remove
   * @throws StoreUnavailableError
   */
  abort(signal: AbortSignal): Promise<boolean>;
}

/**
 * The unfinished downloads of the store's own client, which verifies what it commits. Downloads of other clients,
 * which may not verify, are not among them.
 */
export interface Ingests {
  /** Whether there is a download of this digest. */
  has(digest: Digest): Promise<boolean>;
  /** Opens the download of this digest; `undefined` when there is none. */
  open(digest: Digest): Promise<Ingest | undefined>;
  /** Why this process cannot see any of them, for people; `undefined` when it can. Absent where it always can. */
  problem?(): Promise<string | undefined>;
}
