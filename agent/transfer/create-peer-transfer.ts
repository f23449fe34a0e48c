import { Bandwidth } from './body/bandwidth.ts';
import { ContentDelivery, type ContentDeliveryComponents } from './content-delivery.ts';
import { PeerTransfer } from './peer-transfer.ts';
import type { PeerAttemptsComponents, PeerAttemptsInit } from './select/peer-attempts.ts';
import { FirstByteTimes } from './select/first-byte-times.ts';
import { createSharedState, type CreateSharedStateComponents } from './select/shared-state.ts';
import { Attribution, type AttributionComponents } from './verify/attribution.ts';
import { HashingThread } from './verify/hashing-thread.ts';
import { VerifiedBuffer, type VerifiedBufferInit } from './verify/verified-buffer.ts';

/** Time for the first byte, see {@link CreatePeerTransferInit}, in milliseconds. */
const FIRST_BYTE_MS = 2_500;

/**
 * The most that a follower waits until its arbiter names a peer, in milliseconds. That bounds itself: a node that leaves the fetch to
 * another one asks up to seven times, each twice. The usual bound of a look-up, 0.8 s, ended it, and each such node fetched for itself.
 */
const NAMED_MS = 4_000;

/** What the rest of the agent gives to a transfer. */
export interface CreatePeerTransferComponents
  extends
    Pick<PeerAttemptsComponents, 'router' | 'client' | 'metrics' | 'logger'>,
    Pick<AttributionComponents, 'store' | 'onWrong'>,
    Pick<CreateSharedStateComponents, 'chunkSizes'> {}

/** Bounds of a transfer. */
export interface CreatePeerTransferInit extends Omit<PeerAttemptsInit, 'firstByteBudget'> {
  /**
   * Time from the request to the first byte of a good answer, over all peers, in milliseconds. While content arrives
   * that is verified first there is more, by its size, also over all peers (`longestWait`). Default 2500.
   */
  readonly firstByteBudget?: number;
  /** Bounds of content that is verified before the client gets it. */
  readonly verifiedBuffer?: VerifiedBufferInit;
  /** The zone of this node. Default: empty, for a node without a zone. */
  readonly zone?: string;
  /** Bytes per second for all bodies from peers together. Default: 0, for no limit. */
  readonly downloadLimit?: number;
}

/** How bodies go on that other nodes follow. */
type OnwardComponents = Pick<ContentDeliveryComponents, 'tails' | 'verifiedSize' | 'verifiedMs'>;

/** What a transfer that follows has of its own. All else it shares with the transfer from holders. */
type FollowingComponents = Pick<PeerAttemptsComponents, 'router' | 'client'> & OnwardComponents;

/** Transfers that share what they know about peers, their memory and their bandwidth. */
export interface PeerTransfers {
  /** From peers that hold the content. */
  readonly transfer: PeerTransfer;
  /** Makes the same for content that others follow from here. */
  readonly taking: (components: OnwardComponents) => PeerTransfer;
  /**
   * Makes a transfer from peers that are still receiving the content themselves.
   *
   * @param firstByteBudget as in {@link PeerAttemptsInit}
   */
  readonly following: (
    components: FollowingComponents,
    init: Pick<PeerAttemptsInit, 'firstByteBudget'>,
  ) => PeerTransfer;
}

/** Makes a {@link PeerTransfer} and all parts of it, and further ones that follow. */
export function createPeerTransfers(
  components: CreatePeerTransferComponents,
  init: CreatePeerTransferInit,
): PeerTransfers {
  const { router, client, store, metrics, logger, chunkSizes, onWrong } = components;
  const { zone = '', downloadLimit = 0, resolveTimeout, resolveRetries } = init;
  const shared = createSharedState({ metrics, logger, chunkSizes }, { zone });
  const { scoreboard, sizes, rates } = shared;
  const attribution = new Attribution({ store, client, scoreboard, metrics, logger, onWrong });
  const hashingThread = new HashingThread();
  const deliveryParts: ContentDeliveryComponents = {
    client,
    verifiedBuffer: new VerifiedBuffer(init.verifiedBuffer),
    attribution,
    hashingThread,
    sizes,
    rates,
    metrics,
    download: downloadLimit > 0 ? new Bandwidth(downloadLimit) : undefined,
  };
  const delivery = new ContentDelivery(deliveryParts);
  const attempts: PeerAttemptsComponents = { router, client, metrics, logger, shared };
  const { firstByteBudget = FIRST_BYTE_MS } = init;
  const parts = { delivery, attribution, hashingThread };
  const fromHolders = { resolveTimeout, resolveRetries, firstByteBudget };
  return {
    transfer: new PeerTransfer({ attempts, ...parts }, fromHolders),
    taking: (onward) =>
      new PeerTransfer(
        {
          attempts,
          ...parts,
          delivery: new ContentDelivery({ ...deliveryParts, ...onward }),
        },
        fromHolders,
      ),
    following: ({ tails, verifiedSize, ...own }, { firstByteBudget: within }) => {
      // When content begins that is still on its way to its holder says nothing about other content.
      const firstBytes = { GET: new FirstByteTimes(), HEAD: new FirstByteTimes() };
      return new PeerTransfer(
        {
          attempts: { ...attempts, ...own, shared: { ...shared, firstBytes } },
          ...parts,
          delivery: new ContentDelivery({ ...deliveryParts, tails, verifiedSize }),
        },
        { resolveTimeout: NAMED_MS, resolveRetries: 0, firstByteBudget: within, follows: true },
      );
    },
  };
}
