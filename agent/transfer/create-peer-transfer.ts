import { Bandwidth } from './body/bandwidth.ts';
import { ChunkSizes } from './body/chunk-sizes.ts';
import { ContentDelivery } from './content-delivery.ts';
import { PeerTransfer } from './peer-transfer.ts';
import { AttemptSlots } from './select/attempt-slots.ts';
import { Blocklist } from './select/blocklist.ts';
import { FirstByteTimes } from './select/first-byte-times.ts';
import { KnownSizes } from './select/known-sizes.ts';
import type { PeerAttemptsComponents, PeerAttemptsInit } from './select/peer-attempts.ts';
import { PeerResponsiveness } from './select/peer-responsiveness.ts';
import { PeerScores } from './select/peer-score.ts';
import { Attribution, type AttributionComponents } from './verify/attribution.ts';
import { VerifiedBuffer, type VerifiedBufferInit } from './verify/verified-buffer.ts';

/** Time for the first byte, see {@link CreatePeerTransferInit}, in milliseconds. */
const FIRST_BYTE_MS = 2_500;

/** What the rest of the agent gives to a transfer. */
export interface CreatePeerTransferComponents
  extends
    Pick<PeerAttemptsComponents, 'router' | 'client' | 'metrics' | 'logger'>,
    Pick<AttributionComponents, 'store'> {
  /** Predicts which part of a blob its client is going to read. Default: a {@link ChunkSizes}. */
  readonly chunkSizes?: PeerAttemptsComponents['pieceLengths'];
}

/** Bounds of a transfer. */
export interface CreatePeerTransferInit extends Omit<PeerAttemptsInit, 'firstByteBudget'> {
  /**
   * Time from the request to the first byte of a good answer, over all peers, in milliseconds. The time in which small
   * content arrives and is verified is not counted. Default 2500.
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
  const { router, client, store, metrics, logger, chunkSizes = new ChunkSizes() } = components;
  const { zone = '', downloadLimit = 0, resolveTimeout, resolveRetries } = init;
  const bans = new Blocklist({ metrics, logger });
  const sizes = new KnownSizes();
  const attribution = new Attribution({ store, client, bans, metrics, logger });
  const delivery = new ContentDelivery({
    client,
    verifiedBuffer: new VerifiedBuffer(init.verifiedBuffer),
    attribution,
    sizes,
    metrics,
    download: downloadLimit > 0 ? new Bandwidth(downloadLimit) : undefined,
  });
  const attempts: PeerAttemptsComponents = {
    router,
    client,
    metrics,
    logger,
    bans,
    standing: new PeerResponsiveness(),
    slots: new AttemptSlots(),
    sizes,
    pieceLengths: chunkSizes,
    profiles: new PeerScores({ zone }),
    firstBytes: { GET: new FirstByteTimes(), HEAD: new FirstByteTimes() },
  };
  const { firstByteBudget = FIRST_BYTE_MS } = init;
  return new PeerTransfer(
    { attempts, delivery, attribution },
    { resolveTimeout, resolveRetries, firstByteBudget },
  );
}
