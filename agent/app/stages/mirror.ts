import { setTimeout as delay } from 'node:timers/promises';

import type { Logger } from 'pino';

import type { RegistryConfig } from '../../config/options.ts';
import type { ContentSource } from '../../content/content-source.ts';
import type { RegistryTags } from '../../content/registry-tags.ts';
import { LocalSource } from '../../content/local-source.ts';
import { HttpListener, type HttpListenerInit } from '../../http/http-listener.ts';
import { instrument, type LabelledHandler } from '../../http/instrument.ts';
import { LateHandler } from '../../http/late-handler.ts';
import type { ListenAddress } from '../../http/bind.ts';
import type { Inventory } from '../../inventory/inventory.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { Callers } from '../../mirror/callers.ts';
import type { ImportedNames } from '../../mirror/imported-names.ts';
import { MirrorHandler } from '../../mirror/mirror-handler.ts';
import type { FollowedContent, RegistryContent } from '../../mirror/mirror-sources.ts';
import { OutageAnswers, type OutageAnswersComponents } from '../../mirror/outage-answers.ts';
import { PeerUploads, type PeerUploadsInit } from '../../mirror/peer-uploads.ts';
import { RegistryProbe } from '../../mirror/registry-probe.ts';
import type { DataPlane } from '../../native/data-plane.ts';
import type { Digest } from '../../oci/digest.ts';
import type { SharePolicy } from '../../oci/share-policy.ts';
import type { ContentStore } from '../../store/content-store.ts';

/** How long the mirror still answers when the agent ends, in milliseconds. */
export interface MirrorDrainInit {
  /** For clients that have not heard of the end yet, new requests are taken for so long. */
  readonly shutdownDelay: number;
  /** Afterwards, requests in flight may take so long. */
  readonly shutdownTimeout: number;
}

/**
 * A port of the mirror: for peers, or for the containerd of this node. It opens before the agent joins the DHT, since the
 * router announces that for peers. Until {@link MirrorPort.serve} is called the answer is 503, at which containerd asks the
 * upstream registry.
 */
export class MirrorPort {
  readonly #listener: HttpListener;
  readonly #handler = new LateHandler('registry');

  /** @param option the option that the address is from, for messages */
  constructor(
    { metrics }: { readonly metrics: Metrics },
    address: ListenAddress,
    init: HttpListenerInit = {},
    option = '--registry-addr',
  ) {
    this.#listener = new HttpListener(
      address,
      option,
      instrument(metrics, 'registry', this.#handler.handle),
      init,
    );
  }

  /**
   * Opens the port.
   *
   * @returns its number
   * @throws ListenError
   */
  start(): Promise<number> {
    return this.#listener.start();
  }

  /** From now on the handler answers. */
  serve(handler: LabelledHandler): void {
    this.#handler.set(handler);
  }

  /** Serves to the end: takes requests for the delay, then lets those in flight finish within the timeout. */
  async drain({ shutdownDelay, shutdownTimeout }: MirrorDrainInit): Promise<void> {
    await delay(shutdownDelay);
    await this.#listener.stop(shutdownTimeout);
  }

  /** Closes the port at once; without effect after {@link MirrorPort.drain}. */
  stop(): Promise<void> {
    return this.#listener.stop(0);
  }
}

/** What {@link mirrorStage} needs of the stages before it. */
export interface MirrorStageComponents {
  readonly store: ContentStore;
  /** See `LocalSource`. */
  readonly recordNames?: (tagKey: string) => readonly string[];
  /** Sources beyond this node, in the order in which they are tried. */
  readonly remote: readonly ContentSource[];
  /** Registries, for clients on this node; see `MirrorSources`. Default: they are left to containerd. */
  readonly upstream?: RegistryContent | undefined;
  /** What registries say of tags; see `MirrorSources`. Default: tags are left to containerd. */
  readonly tags?: RegistryTags | undefined;
  /**
   * Makes the source of content that is still arriving, for peers that follow; see `MirrorSources`. Default: there is none.
   *
   * @param local gives what the store holds
   */
  readonly followed?: ((local: ContentSource) => FollowedContent) | undefined;
  readonly policy: SharePolicy;
  /** See `MirrorHandler`. */
  readonly sharesDigest: (digest: Digest) => boolean;
  /** See `MirrorHandler`. */
  readonly outage?: OutageAnswers;
  /** See `MirrorHandler`. */
  readonly names?: ImportedNames;
  /** Peer IDs of other nodes that hold the digest, as far as is known without a look-up. */
  readonly holders: (digest: Digest) => readonly string[];
  /** Whether a client is on this node; see `PeerUploads`. */
  readonly isLocal?: (address: string | undefined) => boolean;
  /** Whether this node fetches from registries for a client; see `MirrorHandler`. */
  readonly mayGoUpstream?: (address: string | undefined) => boolean;
  /** See `MirrorHandler`. */
  readonly unnamedRegistry?: string | undefined;
  /** Decides who asks at `--registry-addr`; see `MirrorHandler`. The listener of `--mirror-addr` decides for itself. */
  readonly callers?: Callers;
  readonly dataPlane: DataPlane;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** The handlers of the OCI distribution API. They differ in the bounds on what they send. */
export interface MirrorStage {
  /** Answers at `--registry-addr`. */
  readonly peers: LabelledHandler;
  /** Answers at `--mirror-addr`. Its bodies are none of those that `peers` counts. */
  readonly node: LabelledHandler;
}

/**
 * Makes the handlers of the OCI distribution API. Both read from the same sources.
 *
 * @param init bounds on what is sent to clients that are not on this node
 */
export function mirrorStage(
  {
    store,
    recordNames,
    remote,
    upstream,
    tags,
    followed,
    dataPlane,
    holders,
    isLocal,
    callers,
    ...components
  }: MirrorStageComponents,
  init?: PeerUploadsInit,
): MirrorStage {
  const { metrics, logger } = components;
  const local = new LocalSource({ store, dataPlane, logger, ...(recordNames && { recordNames }) });
  const sources = {
    ...{ local: [local], remote },
    ...(upstream && { upstream }),
    ...(tags && { tags }),
    ...(followed && { followed: followed(local) }),
  };
  const bounds = { metrics, holders, ...(isLocal && { isLocal }) };
  const uploads = new PeerUploads(bounds, init);
  const ofNode = new PeerUploads({ ...bounds, sharesRateWith: uploads }, init);
  const answer = (bodies: PeerUploads, who?: Callers): LabelledHandler => {
    const parts = { ...components, sources, uploads: bodies, ...(who && { callers: who }) };
    const handler = new MirrorHandler(parts);
    return handler.handle.bind(handler);
  };
  return { peers: answer(uploads, callers), node: answer(ofNode) };
}

/** What answers while a registry is away; undefined when the options ask for nothing of the kind. */
export function outageAnswers(
  config: Pick<RegistryConfig, 'authorized-outage'>,
  {
    inventory,
    logger,
    ...components
  }: Pick<OutageAnswersComponents, 'policy' | 'isLocal'> & {
    readonly inventory: Pick<Inventory, 'holds'>;
    readonly logger: Logger;
  },
): OutageAnswers | undefined {
  if (config['authorized-outage'] === 'deny') return undefined;
  const holds = inventory.holds.bind(inventory);
  return new OutageAnswers({ ...components, holds, probe: new RegistryProbe({ logger }) });
}

/** The bounds on uploads that the options ask for. */
export function uploadsInit(config: RegistryConfig): PeerUploadsInit {
  return {
    zone: config.zone,
    max: config['max-uploads'],
    maxPerBlob: config['max-uploads-per-blob'],
    limit: config['upload-limit'],
  };
}
