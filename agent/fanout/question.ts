import type { Digest } from '../oci/digest.ts';

/** Identify announces it, so that members know who can be an arbiter, follow and be followed. */
export const DOWNLOADS_PROTOCOL = '/peerglass/downloads/1.0.0';

/**
 * What a node says of itself and a digest. `wants`: it asks where to get it. `fetching`: its containerd receives it from
 * the upstream registry. `following`: it receives it from the peer that `parent` names. `held`: its store has it, verified.
 * `failed`: its containerd gave the download up. `wrong`: what it received has another digest.
 */
export type DownloadState = 'wants' | 'fetching' | 'following' | 'held' | 'failed' | 'wrong';

/** What a node tells the arbiter of a digest: a question while it wants the content, a report afterwards. */
export interface Question {
  readonly digest: Digest;
  readonly state: DownloadState;
  /** Bytes that the node has, from the first one on. */
  readonly offset: number;
  /** Bytes of the finished content; absent while the node does not know it. */
  readonly size?: number;
  /** The peer ID that it receives from, with `following`. */
  readonly parent?: string;
  /** Peer IDs that did not serve this node, the latest first, at most {@link MAX_FAILED}. */
  readonly failed: readonly string[];
  /** Whether its client can go upstream and leaves the bytes where followers can be served. */
  readonly canFetch: boolean;
  /** Followers that it serves with this digest. */
  readonly children: number;
  /** Whether it can serve one more as fast as those. */
  readonly isRoomy: boolean;
  /** The zone of the node; empty without one. */
  readonly zone: string;
}

/** Peer IDs in {@link Question.failed}. */
export const MAX_FAILED = 8;

/** A node, as the arbiter knows it. */
export interface Member {
  readonly peerId: string;
  /** Base URLs of its mirror, where the arbiter itself can reach it. */
  readonly origins: readonly string[];
}

/** What the arbiter decides. */
export type Decision =
  /** Fetch it from the upstream registry: this node has the lease, until it does not renew it. */
  | ({ readonly kind: 'fetch' } & Renewal)
  /** Receive it from this peer, which receives it itself. */
  | ({ readonly kind: 'follow'; readonly parent: Member } & Renewal)
  /** These hold all of it. */
  | { readonly kind: 'held'; readonly holders: readonly Member[] }
  /** The answer to a report: go on as before. */
  | ({ readonly kind: 'go-on' } & Renewal)
  /** Do as if there were no arbiter, for this time in milliseconds. */
  | { readonly kind: 'alone'; readonly forMs: number };

/** When a node reports next. */
interface Renewal {
  /** In milliseconds from now. */
  readonly renewMs: number;
}

/** The followers of this node, as far as the reports to the arbiter need them. */
export interface Followers {
  /** How many follow the digest here, and whether one more would get it as fast. */
  state(digest: Digest): Pick<Question, 'children' | 'isRoomy'>;
  /** Calls back when {@link state} of a digest changes. @returns ends the calls */
  onChange(listener: (digest: Digest) => void): () => void;
}
