import type { ContentRequest } from '../oci/content-request.ts';
import type { Descriptor } from '../oci/descriptor.ts';
import type { OciError } from '../oci/errors.ts';

/** A manifest, and the base URL of the host that named it. */
export interface NamedManifest {
  readonly descriptor: Descriptor;
  readonly origin: string;
}

/** What a registry says of a tag. */
export type TagAnswer =
  /** What it means. `isRemembered`: the registry said so within `--tag-ttl`. */
  | ({ readonly kind: 'resolved'; readonly isRemembered: boolean } & NamedManifest)
  /** The registry has answered that there is no such image, or none for this node; or it gave no answer for too long. */
  | { readonly kind: 'refused'; readonly error: OciError }
  /** The registry cannot be asked at present: what it last said may be served. `last` is absent where this node has not asked. */
  | { readonly kind: 'away'; readonly error: OciError; readonly last?: NamedManifest };

/** Options of {@link RegistryTags.resolve}. */
export interface ResolveInit {
  /** Whether an earlier answer may be used: not for a tag that is not shared. */
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
