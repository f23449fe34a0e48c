import { isIPv6 } from 'node:net';

import type { Logger } from 'pino';

import { MirrorPort, mirrorStage } from '../app/stages/mirror.ts';
import { transferStage } from '../app/stages/transfer.ts';
import type { HttpListenerInit } from '../http/http-listener.ts';
import { DataPlane, type DataPlaneMode } from '../native/data-plane.ts';
import { createMetrics, type Metrics } from '../metrics/metrics.ts';
import type { ListenerTls } from '../http/tls-server.ts';
import { Callers } from '../mirror/callers.ts';
import type { ImportedNames } from '../mirror/imported-names.ts';
import type { RegistryTags } from '../content/registry-tags.ts';
import type { RegistryContent } from '../mirror/mirror-sources.ts';
import type { OutageAnswers } from '../mirror/outage-answers.ts';
import type { PeerUploadsInit } from '../mirror/peer-uploads.ts';
import type { Digest } from '../oci/digest.ts';
import { SharePolicy } from '../oci/share-policy.ts';
import type { Provider, Router } from '../routing/router.ts';
import type { ContentStore } from '../store/content-store.ts';
import type { Ingests } from '../store/ingests.ts';
import { MemoryStore } from '../store/memory-store.ts';
import type { TransferRouter } from '../transfer/select/peer-attempts.ts';
import type { PeerTls } from '../transfer/client/peer-agents.ts';
import type {
  CreatePeerTransferComponents,
  CreatePeerTransferInit,
} from '../transfer/create-peer-transfer.ts';
import { quiet } from './quiet.ts';
import type { SigningNode } from './signing-nodes.ts';
import { testTls } from './test-tls.ts';

/** Finds the given providers for every key, in their order, and records the forgotten ones. */
export class FixedRouter implements Pick<Router, 'lookup' | 'forget'> {
  readonly forgotten: string[] = [];
  readonly #providers: readonly Provider[];

  constructor(...providers: readonly Provider[]) {
    this.#providers = providers;
  }

  async *lookup(): AsyncGenerator<Provider> {
    await Promise.resolve();
    yield* this.#providers;
  }

  forget(_key: string, peerId: string): void {
    this.forgotten.push(peerId);
  }
}

/** A {@link FixedRouter} that knows all providers without a look-up, as in a network of a few nodes. */
export class KnownRouter extends FixedRouter {
  readonly #members: readonly Provider[];
  readonly #holders: readonly Provider[];

  /** @param members other peers in the network, without provider records */
  constructor(holders: readonly Provider[], members: readonly Provider[] = []) {
    super(...holders);
    this.#holders = holders;
    this.#members = [...holders, ...members];
  }

  known(): readonly Provider[] {
    return this.#holders;
  }

  locate(peerId: string): Provider | undefined {
    return this.#members.find((member) => member.peerId === peerId);
  }
}

/** A node's mirror on a real port, over a store in memory. */
export interface MirrorNode extends AsyncDisposable {
  readonly origin: string;
  readonly store: MemoryStore;
  readonly metrics: Metrics;
  /** Why it refused requests, one entry for each. */
  readonly refusals: readonly string[];
}

/** Options of a {@link MirrorNode}. */
export interface MirrorNodeInit
  extends Partial<CreatePeerTransferInit>, Pick<CreatePeerTransferComponents, 'chunkSizes'> {
  /** The store that the mirror serves from. Default: one in memory. */
  readonly disk?: ContentStore;
  readonly dataPlane?: DataPlane;
  readonly router?: TransferRouter;
  readonly policy?: SharePolicy;
  readonly sharesDigest?: (digest: Digest) => boolean;
  /** What answers while a registry is away. Default: nothing does. */
  readonly outage?: OutageAnswers;
  /** The registries, for clients of this node. Default: clients ask them themselves. */
  readonly upstream?: RegistryContent;
  /** What registries say of tags, for the same clients. Default: as `upstream`. */
  readonly tags?: RegistryTags;
  /** The registry of clients that name none. Default: none. */
  readonly unnamedRegistry?: string;
  /** Who resolves names with `--share …=auto`. Default: the registry. */
  readonly names?: ImportedNames;
  readonly headTimeout?: number;
  readonly stallTimeout?: number;
  readonly listener?: HttpListenerInit;
  /** IP to listen on. Default 127.0.0.1. */
  readonly host?: string;
  /** TLS of the listener and towards peers. Default: see `testTls`. */
  readonly tls?: ListenerTls;
  readonly peerTls?: PeerTls;
  /** Unfinished downloads of the client, as a node with containerd has them. */
  readonly ingests?: Ingests;
  readonly uploads?: PeerUploadsInit;
  /** Whether a client counts as one of this node. Default: clients of loopback do. */
  readonly isLocal?: (address: string | undefined) => boolean;
  /** Who the node is: it signs its requests and answers, and with swarm keys serves signed requests only. */
  readonly identity?: SigningNode;
  /** Peer IDs that the node gives as alternatives when it is busy. */
  readonly holders?: readonly string[];
  /** The logger of the mirror. Default: {@link quiet}. */
  readonly logger?: Logger;
}

/** Starts a mirror on a port that the system chooses. It is made of the same stages as the agent. */
export async function startMirror(init: MirrorNodeInit = {}): Promise<MirrorNode> {
  const { host = '127.0.0.1' } = init;
  const store = new MemoryStore(init.ingests);
  const { dataPlane = new DataPlane({ logger: quiet }, dataPlaneMode()) } = init;
  const metrics = createMetrics();
  const { tls = testTls, peerTls = testTls } = init;
  const { router = new FixedRouter(), headTimeout = 1_000, stallTimeout = 5_000 } = init;
  const peers = transferStage(
    {
      router,
      store,
      dataPlane,
      tls: peerTls,
      metrics,
      logger: quiet,
      ...(init.chunkSizes && { chunkSizes: init.chunkSizes }),
      ...(init.identity && { signer: init.identity.signer }),
    },
    {
      client: { userAgent: 'peerglass/test', headTimeout, stallTimeout },
      transfer: { resolveTimeout: 20, resolveRetries: 3, ...init },
    },
  );
  const refusals: string[] = [];
  const callers =
    init.identity &&
    new Callers(
      {
        verifier: init.identity.verifier,
        ...(init.isLocal && { isLocal: init.isLocal }),
        onRefused: (reason) => refusals.push(reason),
      },
      { servesAnyone: init.identity.signer.isOpen },
    );
  const { peers: handler } = mirrorStage(
    {
      store: init.disk ?? store,
      remote: [peers.source],
      policy: init.policy ?? new SharePolicy(),
      sharesDigest: init.sharesDigest ?? (() => true),
      holders: () => init.holders ?? [],
      ...(init.isLocal && { isLocal: init.isLocal }),
      ...(callers && { callers }),
      ...(init.outage && { outage: init.outage }),
      ...(init.names && { names: init.names }),
      ...(init.upstream && { upstream: init.upstream, mayGoUpstream: () => true }),
      ...(init.tags && { tags: init.tags }),
      unnamedRegistry: init.unnamedRegistry,
      dataPlane,
      metrics,
      logger: init.logger ?? quiet,
    },
    init.uploads,
  );
  const port = new MirrorPort(
    { metrics },
    { host, port: 0 },
    { ...init.listener, ...(init.isLocal && { isLocal: init.isLocal }), ...(tls && { tls }) },
  );
  port.serve(handler);
  const address = isIPv6(host) ? `[${host}]` : host;
  const origin = `${tls ? 'https' : 'http'}://${address}:${await port.start()}`;
  return {
    origin,
    store,
    metrics,
    refusals,
    async [Symbol.asyncDispose]() {
      await peers.stop();
      await port.stop();
    },
  };
}

/** The provider record of a node, under a name for logs. */
export function providerOf(peerId: string, { origin }: { origin: string }): Provider {
  return { peerId, origins: [origin] };
}

/** The data plane of tests that do not choose one. Some suites run again with the other. */
function dataPlaneMode(): DataPlaneMode {
  return process.env['PEERGLASS_TEST_DATA_PLANE'] === 'stream' ? 'stream' : 'auto';
}
