import { Bandwidth } from './body/bandwidth.ts';
import { ContentDelivery } from './content-delivery.ts';
import { PeerTransfer } from './peer-transfer.ts';
import type { PeerAttemptsComponents, PeerAttemptsInit } from './select/peer-attempts.ts';
import { createSharedState, type CreateSharedStateComponents } from './select/shared-state.ts';
import { Attribution, type AttributionComponents } from './verify/attribution.ts';
import { HashingThread } from './verify/hashing-thread.ts';
import { VerifiedBuffer, type VerifiedBufferInit } from './verify/verified-buffer.ts';

/** Time for the first byte, see {@link CreatePeerTransferInit}, in milliseconds. */
const FIRST_BYTE_MS = 2_500;

/** What the rest of the agent gives to a transfer. */
export interface CreatePeerTransferComponents
  extends
    Pick<PeerAttemptsComponents, 'router' | 'client' | 'metrics' | 'logger'>,
    Pick<AttributionComponents, 'store'>,
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

/** Makes a {@link PeerTransfer} and all parts of it. */
export function createPeerTransfer(
  components: CreatePeerTransferComponents,
  init: CreatePeerTransferInit,
): PeerTransfer {
  const { router, client, store, metrics, logger, chunkSizes } = components;
  const { zone = '', downloadLimit = 0, resolveTimeout, resolveRetries } = init;
  const shared = createSharedState({ metrics, logger, chunkSizes }, { zone });
  const { scoreboard, sizes } = shared;
  const attribution = new Attribution({ store, client, scoreboard, metrics, logger });
  const hashingThread = new HashingThread();
  const delivery = new ContentDelivery({
    client,
    verifiedBuffer: new VerifiedBuffer(init.verifiedBuffer),
    attribution,
    hashingThread,
    sizes,
    metrics,
    download: downloadLimit > 0 ? new Bandwidth(downloadLimit) : undefined,
  });
  const attempts: PeerAttemptsComponents = { router, client, metrics, logger, shared };
  const { firstByteBudget = FIRST_BYTE_MS } = init;
  return new PeerTransfer(
    { attempts, delivery, attribution, hashingThread },
    { resolveTimeout, resolveRetries, firstByteBudget },
  );
}
