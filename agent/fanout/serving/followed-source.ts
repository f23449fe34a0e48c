import { LOCAL_ORIGIN, type Content, type ContentSource } from '../../content/content-source.ts';
import type { DataPlane } from '../../native/data-plane.ts';
import { rangeOf, type ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import { MEDIA_TYPE } from '../../oci/media-type.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { Ingest, IngestProgress, Ingests } from '../../store/ingests.ts';
import { Deadline } from '../../timing/deadline.ts';
import { JoinedCalls } from '../../timing/joined-calls.ts';
import { waitForCommit } from './committed.ts';
import type { DownloadFollowers } from './followers.ts';
import { GrowingBlob } from './growing-blob.ts';
import type { Tails } from './tail/tails.ts';

/** How long small content may take to be committed, in milliseconds. */
const WAIT_MS = 10_000;

/** Requests that wait for that at once. Those for one digest share an open file. */
const MAX_WAITING = 256;

/** Components of {@link FollowedSource}. */
export interface FollowedSourceComponents {
  readonly store: Pick<ContentStore, 'ingests' | 'stat'>;
  /** Gives what the store holds. */
  readonly local: ContentSource;
  readonly followers: DownloadFollowers;
  /** What was forwarded to the client and is not in the store yet. Default: followers wait until it is. */
  readonly tails?: Pick<Tails, 'follow'>;
  /** The way of large blobs within the kernel. Default: they go as streams. */
  readonly dataPlane?: Pick<DataPlane, 'kernel'>;
}

/** Options of {@link FollowedSource}. */
export interface FollowedSourceInit {
  /** Bytes up to which a blob is given once it is committed, and so verified; `--hold-back-size`. */
  readonly verifiedSize: number;
  /** How long that is waited for, in milliseconds. Default 10,000. */
  readonly waitMs?: number;
}

/**
 * Gives content that the client of this node still receives, to peers that follow it. A large blob is given as it grows,
 * and smaller content and manifests once the store has committed them.
 */
export class FollowedSource implements ContentSource {
  readonly #components: FollowedSourceComponents;
  readonly #verifiedSize: number;
  readonly #waitMs: number;
  readonly #commits = new JoinedCalls<boolean>();
  #waiting = 0;

  constructor(
    components: FollowedSourceComponents,
    { verifiedSize, waitMs = WAIT_MS }: FollowedSourceInit,
  ) {
    this.#components = components;
    this.#verifiedSize = verifiedSize;
    this.#waitMs = waitMs;
  }

  /** See {@link DownloadFollowers.isWrong}. */
  isWrong(digest: Digest): boolean {
    return this.#components.followers.isWrong(digest);
  }

  /**
   * To be asked when the local source has not got the content.
   *
   * @returns `undefined` when the content does not arrive here, the follower is refused, or the client has given it up
   * @throws what the store and the local source throw
   */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    const { digest, kind, method } = request;
    const { store, local } = this.#components;
    const { ingests } = store;
    if (digest === undefined || ingests === undefined || this.isWrong(digest)) return undefined;
    if (kind === 'manifest' && method === 'GET') {
      if (!(await ingests.has(digest))) return await local.fetch(request, signal);
      return await this.#onceCommitted(ingests, { ...request, digest }, signal);
    }
    const ingest = await ingests.open(digest);
    // It may have been committed since the local source was asked.
    if (ingest === undefined) return await local.fetch(request, signal);
    let content: Content | undefined;
    try {
      // Nothing is known of a manifest before it is read, and of a blob only its size.
      if (kind === 'manifest' || !hasTotal(ingest)) return undefined;
      if (method === 'HEAD') return headOf(ingest);
      if (ingest.total > this.#verifiedSize) content = this.#follow(ingest, request, signal);
    } finally {
      if (content === undefined) await ingest[Symbol.asyncDispose]();
    }
    if (content !== undefined || ingest.total > this.#verifiedSize) return content;
    return await this.#onceCommitted(ingests, { ...request, digest }, signal);
  }

  #follow(
    ingest: Ingest & { readonly total: number },
    request: ContentRequest,
    signal: AbortSignal,
  ): Content | undefined {
    const { store, followers, tails, dataPlane } = this.#components;
    const range = rangeOf(request, { size: ingest.total });
    // A follower may have got bytes that are not in the file yet. It is admitted before it has a tail.
    const progress = async (): Promise<IngestProgress> => {
      const at = await ingest.progress();
      return { ...at, offset: Math.max(at.offset, tail?.end ?? 0) };
    };
    const follower = followers.admit(ingest.digest, range, progress);
    if (follower === undefined) return undefined;
    const tail = tails?.follow(ingest.digest);
    const components = {
      ...{ ingest, store, follower },
      ...(tail && { tail }),
      ...(dataPlane && { dataPlane }),
    };
    return new GrowingBlob(components, range, signal);
  }

  async #onceCommitted(
    ingests: Ingests,
    request: ContentRequest & { readonly digest: Digest },
    signal: AbortSignal,
  ): Promise<Content | undefined> {
    if (this.#waiting >= MAX_WAITING) return undefined;
    this.#waiting += 1;
    try {
      using deadline = new Deadline(this.#waitMs, signal);
      const { digest } = request;
      const commit = this.#commits.join(
        digest,
        (abort) => this.#commit(ingests, digest, abort),
        deadline.signal,
      );
      const isCommitted = await commit.catch((error: unknown) => {
        signal.throwIfAborted();
        if (deadline.signal.aborted) return false;
        throw error;
      });
      return isCommitted ? await this.#components.local.fetch(request, signal) : undefined;
    } finally {
      this.#waiting -= 1;
    }
  }

  /** @returns whether the store may have the content */
  async #commit(ingests: Ingests, digest: Digest, signal: AbortSignal): Promise<boolean> {
    await using ingest = await ingests.open(digest);
    if (ingest === undefined) return true;
    for (let at: IngestProgress | undefined; at === undefined || at.state === 'arriving';) {
      at = await ingest.waitForMore(at?.offset ?? 0, signal);
    }
    return await waitForCommit(this.#components.store, ingest, signal);
  }
}

function hasTotal(ingest: Ingest): ingest is Ingest & { readonly total: number } {
  return ingest.total !== undefined;
}

function headOf({ digest, total: size }: Ingest & { readonly total: number }): Content {
  const descriptor = { mediaType: MEDIA_TYPE.binary, digest, size };
  return { kind: 'head', descriptor, origin: LOCAL_ORIGIN };
}
