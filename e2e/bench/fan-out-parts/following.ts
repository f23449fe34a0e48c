/** What followers are to follow. */
export interface FollowOrder {
  /** The parent: where its mirror is, and who it is. */
  readonly origin: string;
  readonly peerId: string;
  readonly swarmKeyFile: string;
  /** Names of the image without the tag. */
  readonly registry: string;
  readonly repository: string;
  readonly digests: readonly string[];
  /** Followers of each digest, and how many of them take so many bytes a second only. */
  readonly followers: number;
  readonly slow: number;
  readonly slowBytesPerSecond: number;
  /** After this time the slow ones leave. */
  readonly limitMs: number;
}

/** What came of a {@link FollowOrder}. */
export interface FollowResult {
  /** Followers that have received all of the content. */
  readonly whole: number;
  readonly bytes: number;
  /** Bodies that were begun: more than followers where the parent has ended some. */
  readonly bodies: number;
}
