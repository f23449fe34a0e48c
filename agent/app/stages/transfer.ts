import type { RegistryConfig } from '../../config/options.ts';
import type { ContentSource } from '../../content/content-source.ts';
import { SingleFlightSource } from '../../content/single-flight-source.ts';
import { VerifiedHeads } from '../../content/verified-heads.ts';
import type { DataPlane } from '../../native/data-plane.ts';
import type { PeerTls } from '../../transfer/client/peer-agents.ts';
import { PeerClient, type PeerClientInit } from '../../transfer/client/peer-client.ts';
import {
  createPeerTransfer,
  type CreatePeerTransferComponents,
  type CreatePeerTransferInit,
} from '../../transfer/create-peer-transfer.ts';
import type { PeerTransfer } from '../../transfer/peer-transfer.ts';
import { TagAgreement } from '../../transfer/tag-agreement.ts';
import { VERSION } from '../version.ts';
import type { AgentSettings } from './configuration.ts';

/** What {@link transferStage} needs of the stages before it. */
export interface TransferStageComponents extends Omit<CreatePeerTransferComponents, 'client'> {
  readonly dataPlane: DataPlane;
  /** How certificates of peers are checked. Default: they are not. */
  readonly tls?: PeerTls | undefined;
}

/** Bounds of {@link transferStage}. */
export interface TransferStageInit {
  readonly client: Omit<PeerClientInit, 'dataPlane' | 'tls'>;
  readonly transfer: CreatePeerTransferInit;
}

/** Content from peers. */
export interface TransferStage {
  readonly transfer: PeerTransfer;
  /**
   * The transfer, with a single flight for manifests, from which their HEADs are answered too, and a comparison of the
   * holders of tags.
   */
  readonly source: ContentSource & Pick<TagAgreement, 'status'>;
  /** Ends the work behind the requests, then closes the connections to peers. */
  stop(): Promise<void>;
}

/** Makes what fetches content from peers. */
export function transferStage(
  { dataPlane, tls, ...components }: TransferStageComponents,
  init: TransferStageInit,
): TransferStage {
  const client = new PeerClient({ ...init.client, dataPlane, ...(tls && { tls }) });
  const transfer = createPeerTransfer({ ...components, client }, init.transfer);
  const heads = new VerifiedHeads({ source: new SingleFlightSource({ source: transfer }) });
  const source = new TagAgreement({ ...components, client, source: heads });
  return {
    transfer,
    source,
    stop: async () => {
      heads.stop();
      transfer.stop();
      await source.stop();
      await client.close();
    },
  };
}

/** The bounds that the options ask for. */
export function transferInit(
  config: RegistryConfig,
  { verifiedBuffer }: Pick<AgentSettings, 'verifiedBuffer'>,
): TransferStageInit {
  return {
    client: {
      userAgent: `peerglass/${VERSION}`,
      connectTimeout: config['peer-timeout'] / 2,
      headTimeout: config['peer-timeout'],
      stallTimeout: config['stall-timeout'],
    },
    transfer: {
      resolveTimeout: config['mirror-resolve-timeout'],
      resolveRetries: config['mirror-resolve-retries'],
      verifiedBuffer,
      zone: config.zone,
      downloadLimit: config['download-limit'],
    },
  };
}
