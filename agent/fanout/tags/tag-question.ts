import type { Descriptor } from '../../oci/descriptor.ts';

/** Identify announces it, so that members know who can coordinate the nodes that ask a registry what a tag means. */
export const TAG_CHECKS_PROTOCOL = '/peerglass/tag-checks/1.0.0';

/**
 * What a node says of itself and a tag. `wants`: it is about to ask the registry, or waits for another node that does.
 * `asks`: it still asks, and renews its lease. `knows`: the registry has answered. `failed`: the registry did not answer it.
 * `refused`: the registry has answered that there is no such image, or none for this node.
 */
export type TagState = 'wants' | 'asks' | 'knows' | 'failed' | 'refused';

/** What a node tells the coordinator of a tag. */
export interface TagQuestion {
  /** SHA2-256 of the name of the tag, in hexadecimal: the coordinator need not learn the name. */
  readonly tag: string;
  readonly state: TagState;
  /** Chosen anew for each resolve, so that none gets an answer that was there before it began; below 2^32. */
  readonly id: number;
  /** Whether the node can ask the registry, with `wants`: not while that limits it. */
  readonly canAsk: boolean;
  /** What the tag means, with `knows`. */
  readonly manifest?: Descriptor;
}

/** What the coordinator answers. Times are in milliseconds from now. */
export type TagDecision =
  /** Ask the registry: this node has the lease, until it does not renew it. */
  | { readonly kind: 'ask'; readonly againMs: number }
  /** Another node asks. Ask here again then. */
  | { readonly kind: 'wait'; readonly againMs: number }
  /** What the registry has answered another node that asked while this one did. */
  | { readonly kind: 'known'; readonly manifest: Descriptor }
  /** Do as if there were no coordinator. Also the answer to what needs none. */
  | { readonly kind: 'alone' };
