import type { ContentRequest } from '../oci/content-request.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { Digest } from '../oci/digest.ts';
import type { OciError } from '../oci/errors.ts';

/** A manifest, and the base URL of the host that named it. */
export interface NamedManifest {
  readonly descriptor: Descriptor;
  readonly origin: string;
}

/** What a registry says of a tag. */
export type TagAnswer =
  /**
   * What it means. `isRemembered`: the registry said so within `--tag-ttl`. `isTold`: it said so to another node, which asked
   * at the same moment.
   */
  | ({
      readonly kind: 'resolved';
      readonly isRemembered: boolean;
      readonly isTold: boolean;
    } & NamedManifest)
  /** The registry has answered that there is no such image, or none for this node; or it gave no answer for too long. */
  | { readonly kind: 'refused'; readonly error: OciError }
  /** The registry cannot be asked at present: what it last said may be served. `last` is absent where this node has not asked. */
  | { readonly kind: 'away'; readonly error: OciError; readonly last?: NamedManifest };

/** Options of {@link RegistryTags.resolve}. */
export interface ResolveInit {
  /** Whether an earlier answer may be used, or one that another node gets: not for a tag that is not shared. */
  readonly mayRemember: boolean;
}

/** Asks registries what tags mean, for clients of this node. */
export interface RegistryTags {
  /** Whether the registry is one that this node asks. */
  covers(registry: string): boolean;
  /**
   * Asks what the tag of the request means.
   *
   * @throws the signal's reason
   */
  resolve(request: ContentRequest, init: ResolveInit, signal: AbortSignal): Promise<TagAnswer>;
}

/** What a tag means: this node has it from the registry, or from another node that asked the registry (`isTold`). */
export type CheckedTag = NamedManifest & { readonly isTold: boolean };

/** How a node takes part in {@link SharedChecks}. */
export interface SharedCheckInit {
  /** Whether this node can ask the registry: not while the registry limits it. It still gets the answers that other nodes have. */
  readonly canAsk: boolean;
  /** Asks the registry. */
  readonly ask: (signal: AbortSignal) => Promise<NamedManifest>;
  /** Whether an error of `ask` is an answer of the registry, which each node is to hear itself. */
  readonly isFinal: (error: unknown) => boolean;
}

/** One question to a registry for all nodes that want to know at the same moment what a tag means. */
export interface SharedChecks {
  /**
   * Asks the registry, or waits a part of a second for the answer to another node that asks it.
   *
   * @param name of the tag, see `contentKey`
   * @throws what `ask` throws; the signal's reason
   */
  check(name: string, init: SharedCheckInit, signal: AbortSignal): Promise<CheckedTag>;
  /**
   * The registry has not given this node the manifest: where others have named it, their word is not taken for those tags for
   * half a minute. So a member that invents a digest fails one pull of a node, and not the next one.
   */
  doubt(digest: Digest): void;
}
