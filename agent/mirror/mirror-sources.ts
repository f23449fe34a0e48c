import type { Content, ContentSource } from '../content/content-source.ts';
import type { RegistryTags } from '../content/registry-tags.ts';
import type { ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';

/** Where content is looked for, in order. */
export interface MirrorSources {
  /**
   * What this node has itself. Requests of peers are answered from these only, so that no request goes in circles
   * between nodes.
   */
  readonly local: readonly ContentSource[];
  /** Sources that are asked when no local one has the content: peers, and downloads in progress. */
  readonly remote: readonly ContentSource[];
  /**
   * The registries, which are asked last, for clients on this node only: this node may have credentials there, and does not
   * lend them. Default: a client asks registries itself.
   */
  readonly upstream?: RegistryContent;
  /** Asks the registries what tags mean, before any other source, for the same clients. Default: clients do. */
  readonly tags?: RegistryTags;
  /**
   * Content that is still arriving at this node, for peers that ask for it by `FOLLOW_HEADER` when no local source has it.
   * Default: there is none.
   */
  readonly followed?: FollowedContent;
}

/** Registries as a source, which also finishes what other sources have begun. */
export interface RegistryContent extends ContentSource {
  /**
   * Has the body of content go on from the registry where it breaks, for a client that has no other way to the rest.
   * Default: it ends there.
   */
  finish?(content: Content, request: ContentRequest, signal: AbortSignal): Promise<Content>;
}

/** A source of content that is still arriving, unverified. */
export interface FollowedContent extends ContentSource {
  /** Whether bytes of the content that were sent to followers have turned out to be wrong, a short time ago. */
  isWrong(digest: Digest): boolean;
}
