import type { Digest } from '../../oci/digest.ts';
import type { Router } from '../../routing/router.ts';
import { Deadline } from '../../timing/deadline.ts';

/** Nodes that count as few: with more of them a herd has links enough. */
const FEW = 2;
/** The most that content routing may take, in milliseconds. Then there is no holder, as far as this is about. */
const LOOK_UP_MS = 500;

/** What a {@link KnownHolders} uses. */
export interface KnownHoldersComponents {
  readonly router: Pick<Router, 'lookup'>;
}

/** How many nodes hold content, by content routing. */
export class KnownHolders {
  readonly #router: KnownHoldersComponents['router'];

  constructor({ router }: KnownHoldersComponents) {
    this.#router = router;
  }

  /**
   * Whether one or two nodes hold it, and no more.
   *
   * @throws the signal's reason
   */
  async areFew(digest: Digest, signal: AbortSignal): Promise<boolean> {
    const count = await this.#count(digest, FEW + 1, signal);
    return count > 0 && count <= FEW;
  }

  /**
   * Whether a node holds it.
   *
   * @throws the signal's reason
   */
  async isThere(digest: Digest, signal: AbortSignal): Promise<boolean> {
    return (await this.#count(digest, 1, signal)) > 0;
  }

  /** @param enough it counts no further */
  async #count(digest: Digest, enough: number, signal: AbortSignal): Promise<number> {
    using deadline = new Deadline(LOOK_UP_MS, signal);
    const found = new Set<string>();
    for await (const { peerId } of this.#router.lookup(digest, deadline.signal)) {
      found.add(peerId);
      if (found.size >= enough) break;
    }
    signal.throwIfAborted();
    return found.size;
  }
}
