import type { DebugSources } from '../../admin/admin-handler.ts';
import type { RegistryConfig } from '../../config/options.ts';
import type { ContentSource } from '../../content/content-source.ts';
import { SingleFlightSource } from '../../content/single-flight-source.ts';
import { VerifiedHeads } from '../../content/verified-heads.ts';
import type { DataPlane } from '../../native/data-plane.ts';
import type { PeerTls } from '../../transfer/client/peer-agents.ts';
import { PeerClient, type PeerClientInit } from '../../transfer/client/peer-client.ts';
import {
  createPeerTransfers,
  type CreatePeerTransferComponents,
  type CreatePeerTransferInit,
} from '../../transfer/create-peer-transfer.ts';
import type { TailWriter } from '../../content/tail-writer.ts';
import type { PeerTransfer } from '../../transfer/peer-transfer.ts';
import type { TransferRouter } from '../../transfer/select/peer-attempts.ts';
import { TagAgreement } from '../../transfer/tag-agreement.ts';
import { holderAnswer } from '../holder-answer.ts';
import { VERSION } from '../version.ts';
import type { AgentSettings } from './configuration.ts';

/** What {@link transferStage} needs of the stages before it. */
export interface TransferStageComponents extends Omit<CreatePeerTransferComponents, 'client'> {
  readonly dataPlane: DataPlane;
  /** How certificates of peers are checked. Default: they are not. */
  readonly tls?: PeerTls | undefined;
  /** Signs requests, and checks who answers. Default: every answer is believed. */
  readonly signer?: PeerClientInit['signer'];
  /** Finds out whether a peer is where it is to be asked. Default: it is. */
  readonly confirm?: PeerClientInit['confirm'];
}

/** Bounds of {@link transferStage}. */
export interface TransferStageInit {
  readonly client: Omit<PeerClientInit, 'dataPlane' | 'tls' | 'signer' | 'confirm'>;
  readonly transfer: CreatePeerTransferInit;
}

/** How long a peer that is followed may be silent, in milliseconds, once its body has begun. */
const FOLLOWED_STALL_MS = 1_200;

/** How long a peer that is followed has for the head of a large blob, which it sends at once, in milliseconds. */
const FOLLOWED_HEAD_MS = 1_500;

/** What is taken for others and arrives so soon, in milliseconds, is verified first: they hardly wait, and a wrong blob fails no pull. */
const TAKEN_MS = 100;

/** Bounds of content that goes from node to node as it arrives. */
interface FollowInit {
  /** How long the peers may wait for the content themselves, in milliseconds. */
  readonly timeout: number;
  /** Bytes up to which blobs are verified before the client gets them. */
  readonly verifiedSize: number;
}

/** Content from peers that are still receiving it, by how they send it; see `FanOutSource`. */
type FollowingSources = Readonly<Record<'large' | 'small', ContentSource>>;

/** Content from peers. */
export interface TransferStage {
  readonly transfer: PeerTransfer;
  /**
   * The transfer, with a single flight for manifests, from which their HEADs are answered too, and a comparison of the
   * holders of tags.
   */
  readonly source: ContentSource & Pick<TagAgreement, 'status'>;
  /**
   * Makes the source of what this node takes from peers that hold it for others, which follow it here. Its bytes go on as they
   * arrive, but for blobs that are small, or arrive within 0.1 s at the recent rates.
   */
  readonly take: (tails: TailWriter, init: Pick<FollowInit, 'verifiedSize'>) => ContentSource;
  /**
   * Makes the sources of content that peers are still receiving.
   *
   * @param router names these peers
   * @param tails gets the bytes as they are forwarded. Default: they go to the client only
   */
  readonly follow: (
    router: TransferRouter,
    init: FollowInit,
    tails?: TailWriter,
  ) => FollowingSources;
  /** See `Attribution.watchFetched`. */
  readonly watchFetched: PeerTransfer['watchFetched'];
  /** Asks a holder whether it has content; see {@link holderAnswer}. */
  readonly ask: DebugSources['ask'];
  /** Ends the work behind the requests, then closes the connections to peers. */
  stop(): Promise<void>;
}

/** Makes what fetches content from peers. */
export function transferStage(
  { dataPlane, tls, signer, confirm, ...components }: TransferStageComponents,
  init: TransferStageInit,
): TransferStage {
  const clientInit = {
    ...init.client,
    dataPlane,
    ...(tls && { tls }),
    ...(signer && { signer }),
    ...(confirm && { confirm }),
  };
  const client = new PeerClient(clientInit);
  const clients = [client];
  const made = createPeerTransfers({ ...components, client }, init.transfer);
  const { transfer, following, taking } = made;
  const heads = new VerifiedHeads({ source: new SingleFlightSource({ source: transfer }) });
  const source = new TagAgreement({ ...components, client, source: heads });
  return {
    transfer,
    source,
    take: (tails, { verifiedSize }) => taking({ tails, verifiedSize, verifiedMs: TAKEN_MS }),
    follow: (router, { timeout, verifiedSize }, tails) => {
      const followed = new PeerClient({
        ...clientInit,
        follows: true,
        stallTimeout: FOLLOWED_STALL_MS,
        firstByteTimeout: timeout,
      });
      clients.push(followed);
      const from = { router, client: followed, tails, verifiedSize };
      return {
        large: following(from, { firstByteBudget: FOLLOWED_HEAD_MS }),
        small: following(from, { firstByteBudget: timeout }),
      };
    },
    watchFetched: (...blob) => {
      transfer.watchFetched(...blob);
    },
    ask: (...question) => holderAnswer(client, ...question),
    stop: async () => {
      heads.stop();
      transfer.stop();
      await source.stop();
      await Promise.all(clients.map((it) => it.close()));
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
