import { setTimeout as delay } from 'node:timers/promises';

import type { Logger } from 'pino';

import type { RegistryConfig } from '../config/options.ts';
import { Inventory } from '../inventory/inventory.ts';
import { Publisher } from '../inventory/publisher.ts';
import { DataPlane } from '../native/data-plane.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { AdminHandler } from '../admin/admin-handler.ts';
import { HttpListener } from '../http/http-listener.ts';
import { sendJson } from '../http/send-json.ts';
import { instrument } from '../http/instrument.ts';
import { listenError } from '../http/listen-error.ts';
import { MirrorHandler } from '../mirror/mirror-handler.ts';
import { PeerUploads } from '../mirror/peer-uploads.ts';
import { writeError } from '../http/respond.ts';
import { OciError } from '../oci/errors.ts';
import { SharePolicy } from '../oci/share-policy.ts';
import { IDENTITY_PATH } from '../routing/bootstrap/http-bootstrapper.ts';
import { loadIdentity } from '../routing/node/identity.ts';
import { RouterListenError } from '../routing/node/libp2p-node.ts';
import { Libp2pRouter } from '../routing/libp2p-router.ts';
import { PeerClient } from '../transfer/client/peer-client.ts';
import { PeerTransfer } from '../transfer/peer-transfer.ts';
import { SingleFlightManifests } from '../content/single-flight-source.ts';
import {
  countDirectory,
  createBootstrapper,
  listenMultiaddrs,
  recordTimes,
} from './routing-options.ts';
import { refreshGauges } from './gauges.ts';
import { Health } from './health.ts';
import { holdBackOf } from './verified-buffer-options.ts';
import { keepConfigured } from './hosts-keeper.ts';
import { IdleCollection } from './idle-collection.ts';
import { guardStore } from './integrity.ts';
import { registriesToShare } from './registries.ts';
import { sharedSettings } from './shared-settings.ts';
import { createStore } from './store.ts';
import { createTls } from './tls.ts';
import { VERSION } from './version.ts';

/** How long monitoring may take to read the last numbers at the end, in milliseconds. */
const ADMIN_GRACE_MS = 500;

/** Peers that `/debug/peers` names. */
const MAX_PEERS_TOLD = 100;

/** The running agent of one node. */
export interface Agent {
  /**
   * Ends every part: not ready at once, new requests are taken for `--shutdown-delay`, those in flight may take
   * `--shutdown-timeout`, then the node leaves the directory.
   */
  stop(): Promise<void>;
}

/**
 * The composition root: makes every part of the agent, gives it what it needs, and starts it. Resolves when
 * the ports are open, which is before the node is ready.
 *
 * @throws ListenError, IdentityError, StoreConfigError and TlsConfigError, with nothing left running
 */
export async function startAgent(config: RegistryConfig, logger: Logger): Promise<Agent> {
  // What contradicts itself ends it before anything has begun.
  const holdBack = holdBackOf(config);
  const named = (component: string): Logger => logger.child({ component });
  const metrics = createMetrics();
  const health = new Health();
  const stopping = new AbortController();
  const tls = await createTls(config, metrics, named('tls'));
  // Parts are put on the stack in the order in which they end, last first.
  await using parts = new AsyncDisposableStack();

  const shared = await registriesToShare(config, named('registries'));
  const registries = shared.names;
  const policy = new SharePolicy({
    registries,
    filters: config['registry-filters'],
    latest: config['enable-latest'],
  });
  const guard = await guardStore(
    {
      store: createStore(config, parts, { metrics, logger: named('store') }),
      metrics,
      imagesOf: (digest) => inventory.imagesOf(digest),
      logger: named('integrity'),
    },
    config,
    parts,
  );
  const { store } = guard;
  const privateKey = await loadIdentity(config['data-dir']);

  let admin = new AdminHandler({ metrics, readiness: () => health.readiness() });
  const adminListener = new HttpListener(
    config['metrics-addr'],
    '--metrics-addr',
    async (req, res) => {
      await admin.handle(req, res);
    },
  );
  parts.defer(() => adminListener.stop(ADMIN_GRACE_MS));
  await adminListener.start();

  // The mirror's port is opened before the directory tells anybody of it, and takes requests once there
  // is a handler: until then the answer is that of a mirror which knows nothing, and pulls go upstream.
  const serving: { mirror?: MirrorHandler } = {};
  const mirrorListener = new HttpListener(
    config['registry-addr'],
    '--registry-addr',
    instrument(metrics, 'registry', async (req, res, signal) => {
      if (serving.mirror !== undefined) return await serving.mirror.handle(req, res, signal);
      writeError(res, new OciError('UNAVAILABLE', 'starting'));
      return 'registry';
    }),
    tls.listener,
  );
  parts.defer(() => mirrorListener.stop(0));
  const registryPort = await mirrorListener.start();

  const router = new Libp2pRouter(
    { privateKey, bootstrapper: createBootstrapper(config), logger: named('routing') },
    {
      listen: listenMultiaddrs(config['router-addr']),
      registryPort,
      registryTls: tls.listener.tls !== undefined,
      tlsPeersOnly: config['registry-tls-peers-only'],
      ...recordTimes(config),
      observer: countDirectory(metrics),
      metricsRegistry: metrics.registry,
    },
  );
  parts.defer(() => router.stop());
  await router.start().catch((error: unknown) => {
    if (!(error instanceof RouterListenError)) throw error;
    throw listenError('--router-addr', error.address, error.systemCode, error);
  });
  await serveIdentity(config, router, parts);

  const dataPlane = new DataPlane({ logger: named('kernel') }, config['data-plane']);
  const client = new PeerClient({
    userAgent: `peerglass/${VERSION}`,
    connectTimeout: config['peer-timeout'] / 2,
    headTimeout: config['peer-timeout'],
    stallTimeout: config['stall-timeout'],
    dataPlane,
    ...(tls.peers && { tls: tls.peers }),
  });
  parts.defer(() => client.close());
  const transfer = new PeerTransfer(
    { router, client, store, metrics, logger: named('transfer') },
    {
      resolveTimeout: config['mirror-resolve-timeout'],
      resolveRetries: config['mirror-resolve-retries'],
      holdBack,
      zone: config.zone,
      downloadLimit: config['download-limit'],
    },
  );
  const uploads = new PeerUploads(
    { metrics, holders: (digest) => router.known(digest).map(({ peerId }) => peerId) },
    {
      zone: config.zone,
      most: config['max-uploads'],
      mostPerBlob: config['max-uploads-per-blob'],
      limit: config['upload-limit'],
    },
  );
  parts.defer(() => {
    transfer.stop();
  });
  const publisher = new Publisher({ router, metrics, logger: named('inventory') });
  const inventory = new Inventory({
    store,
    publisher,
    policy,
    metrics,
    logger: named('inventory'),
  });
  serving.mirror = new MirrorHandler({
    store,
    transfer: new SingleFlightManifests({ transfer }),
    policy,
    sharesDigest: (digest) => inventory.isShared(digest),
    dataPlane,
    uploads,
    metrics,
    logger: named('mirror'),
  });
  const following = Promise.all([
    publisher.run(stopping.signal),
    inventory.run(stopping.signal),
    guard.run(stopping.signal),
    tls.keeper?.run(stopping.signal),
  ]);
  parts.defer(async () => {
    stopping.abort();
    await following;
  });

  health.watch({ inventory, router });
  admin = new AdminHandler({
    metrics,
    readiness: () => health.readiness(),
    refresh: () => {
      refreshGauges(metrics, { dataPlane, inventory, router, transfer, health });
    },
    ...(config['debug-web-enabled'] && {
      debug: {
        status: () => ({
          version: VERSION,
          peerId: router.peerId,
          listening: router.listening.map(String),
          settings: sharedSettings(config, { registries, registryPort }),
          ...health.readiness(),
          store: inventory.status(),
          integrity: guard.status(),
          directory: { ...router.status(), bootstrap: router.bootstrapAddresses() },
          banned: transfer.blocklist.status(),
          advertised: Object.fromEntries(inventory.countByRegistry()),
        }),
        peers: () => router.peers(MAX_PEERS_TOLD),
        lookup: (key, signal) => router.lookup(key, signal),
      },
    }),
  });
  parts.use(new IdleCollection());
  parts.defer(async () => {
    await delay(config['shutdown-delay']);
    await mirrorListener.stop(config['shutdown-timeout']);
  });
  keepConfigured(
    config,
    {
      port: registryPort,
      certificate: tls.listener.tls?.source.current.identity?.cert,
      shared,
      metrics,
      logger: named('hosts'),
    },
    parts,
  );
  logger.info(
    { version: VERSION, peerId: router.peerId, registryPort, dataPlane: dataPlane.path },
    'agent started',
  );

  const running = parts.move();
  return {
    async stop() {
      health.stopping();
      await running.disposeAsync();
    },
  };
}

/** Serves `/id` on `--http-bootstrap-addr`, when there is one, for nodes that find their peers by HTTP. */
async function serveIdentity(
  config: RegistryConfig,
  router: Libp2pRouter,
  parts: AsyncDisposableStack,
): Promise<void> {
  const address = config['http-bootstrap-addr'];
  if (address === undefined) return;
  const listener = new HttpListener(address, '--http-bootstrap-addr', (req, res) => {
    if (req.url === IDENTITY_PATH) sendJson(res, 200, router.identityAnswer());
    else sendJson(res, 404, { error: `only ${IDENTITY_PATH} is served here` });
    return Promise.resolve();
  });
  parts.defer(() => listener.stop(0));
  await listener.start();
}
