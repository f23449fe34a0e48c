import { wholeOf, type ContentRequest } from '../../oci/content-request.ts';
import type { Provider } from '../../routing/router.ts';
import { destroyQuietly } from '../../streams/destroy-quietly.ts';
import { ExpiringSet } from '../../timing/expiring-set.ts';
import type { PeerClient } from '../client/peer-client.ts';
import { askPeer } from '../select/ask-peer.ts';
import type { PeerScoreboard } from '../select/peer-scoreboard.ts';
import { MISMATCH } from './reverification.ts';
import type { TransferRecord } from './transfer-record.ts';

/** Time for a peer to say whether it holds a blob that it sent wrong, in milliseconds. */
const HELD_MS = 1_000;

/** How long content is not asked of peers after it came wrong from one that was receiving it itself, and how much of it. */
const UPSTREAM_MS = 60_000;
const MAX_UPSTREAM = 1_000;

/** Parts of {@link FollowedBlobs}. */
export interface FollowedBlobsComponents {
  /** Asks for what peers hold, never for what they are still receiving. */
  readonly client: Pick<PeerClient, 'fetch'>;
  readonly scoreboard: Pick<PeerScoreboard, 'record'>;
}

/** Wrong blobs from peers that were receiving them themselves. */
export class FollowedBlobs {
  readonly #components: FollowedBlobsComponents;
  readonly #leftToUpstream = new ExpiringSet(MAX_UPSTREAM);

  constructor(components: FollowedBlobsComponents) {
    this.#components = components;
  }

  /**
   * Whether the content came wrong within the last minute. Any node in the line may have made it wrong, also one that
   * holds it by now: so that the second try succeeds, it is left to the registry.
   */
  isLeftToUpstream(key: string): boolean {
    return this.#leftToUpstream.has(key);
  }

  /**
   * Blocks the peers for this blob alone, because they may have got it wrong themselves. The one that sent all of it, and
   * holds it at this moment, had it right while this node did not: it certainly sent wrong bytes. Never rejects.
   */
  async attribute(
    { peers, solePeer, request, descriptor }: TransferRecord,
    signal: AbortSignal,
  ): Promise<void> {
    const { scoreboard } = this.#components;
    const { digest } = descriptor;
    this.#leftToUpstream.add(digest, UPSTREAM_MS);
    for (const peer of peers) scoreboard.record(peer, digest, { kind: 'unverified' });
    if (solePeer === undefined) return;
    if (await this.#isHolder(solePeer, { ...request, digest }, signal)) {
      scoreboard.record(solePeer, digest, MISMATCH);
    }
  }

  async #isHolder(peer: Provider, request: ContentRequest, signal: AbortSignal): Promise<boolean> {
    const question = { ...wholeOf(request), method: 'HEAD' } as const;
    try {
      const { body } = await askPeer(this.#components.client, peer, question, HELD_MS, signal);
      destroyQuietly(body);
      return true;
    } catch {
      return false;
    }
  }
}
