import { setTimeout as delay } from 'node:timers/promises';

import type { Logger } from 'pino';

import type { RegistryConfig } from '../../config/options.ts';
import type { ContentSource } from '../../content/content-source.ts';
import { LocalSource } from '../../content/local-source.ts';
import { HttpListener, type HttpListenerInit } from '../../http/http-listener.ts';
import { instrument } from '../../http/instrument.ts';
import { LateHandler } from '../../http/late-handler.ts';
import type { ListenAddress } from '../../http/bind.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import { MirrorHandler } from '../../mirror/mirror-handler.ts';
import { PeerUploads, type PeerUploadsInit } from '../../mirror/peer-uploads.ts';
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
 * The port of the mirror. It opens before the agent joins the DHT, since the router announces it. Until
 * {@link MirrorPort.serve} is called the answer is 503, at which containerd asks the upstream registry.
 */
export class MirrorPort {
  readonly #listener: HttpListener;
  readonly #handler = new LateHandler('registry');

  constructor(
    { metrics }: { readonly metrics: Metrics },
    address: ListenAddress,
    init: HttpListenerInit = {},
  ) {
    this.#listener = new HttpListener(
      address,
      '--registry-addr',
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
  serve(handler: MirrorHandler): void {
    this.#handler.set(handler.handle.bind(handler));
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
  readonly policy: SharePolicy;
  /** See `MirrorHandler`. */
  readonly sharesDigest: (digest: Digest) => boolean;
  /** Peer IDs of other nodes that hold the digest, as far as is known without a look-up. */
  readonly holders: (digest: Digest) => readonly string[];
  /** Whether a client is on this node; see `PeerUploads`. */
  readonly isLocal?: (address: string | undefined) => boolean;
  readonly dataPlane: DataPlane;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/** Makes the handler of the OCI distribution API. */
export function mirrorStage(
  { store, recordNames, remote, dataPlane, holders, isLocal, ...components }: MirrorStageComponents,
  init?: PeerUploadsInit,
): MirrorHandler {
  const { metrics, logger } = components;
  return new MirrorHandler({
    ...components,
    sources: {
      local: [new LocalSource({ store, dataPlane, logger, ...(recordNames && { recordNames }) })],
      remote,
    },
    uploads: new PeerUploads({ metrics, holders, ...(isLocal && { isLocal }) }, init),
  });
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
