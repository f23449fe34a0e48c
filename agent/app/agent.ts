import type { Logger } from 'pino';

import type { RegistryConfig } from '../config/options.ts';
import { LocalClients } from '../http/local-clients.ts';
import { createMetrics } from '../metrics/metrics.ts';
import { DataPlane } from '../native/data-plane.ts';
import { Callers } from '../mirror/callers.ts';
import { ImportedNames } from '../mirror/imported-names.ts';
import type { Digest } from '../oci/digest.ts';
import { peerIdOf } from '../routing/lookup/named-provider.ts';
import type { Upstream } from '../upstream/create-upstream.ts';
import { guardWith } from './basic-auth.ts';
import { Health } from './health.ts';
import { hostsKeeperPart } from './hosts-keeper.ts';
import { IdleCollection } from './idle-collection.ts';
import { Lifecycle } from './lifecycle.ts';
import { Loops } from './loops.ts';
import { RefusalLog } from './refusal-log.ts';
import { adminStage } from './stages/admin.ts';
import { arbiterStage, fanOutStage } from './stages/fan-out.ts';
import { configurationStage } from './stages/configuration.ts';
import { inventoryStage } from './stages/inventory.ts';
import { MirrorPort, mirrorStage, outageAnswers, uploadsInit } from './stages/mirror.ts';
import { nodeMirrorPort } from './stages/node-mirror.ts';
import { identityPort, routingStage } from './stages/routing.ts';
import { signaturesStage } from './stages/signatures.ts';
import { storeStage } from './stages/store.ts';
import { tagChecksStage } from './stages/tag-checks.ts';
import { transferInit, transferStage } from './stages/transfer.ts';
import { ownClients, upstreamStage } from './stages/upstream.ts';
import { VERSION } from './version.ts';

/**
 * All that runs in an agent, in the order of its start. The end is the reverse, each part after the other.
 *
 * Before the first part ends, `/readyz` answers "stopping".
 */
const PARTS = [
  // Ends the verifications under way, then the connection to containerd.
  'store',
  // Shows from the first moment whether the agent is ready. Ends with half a second for monitoring to read the last
  // numbers.
  'admin port',
  // Opens before the router announces it. It has drained by the time it closes.
  'mirror port',
  // That of --mirror-addr, likewise.
  'node port',
  // Joins the DHT, and leaves it.
  'router',
  'identity port',
  // Ends the work behind the requests, then the connections to peers.
  'transfer',
  // Lets followers go on elsewhere, and ends the reports to arbiters.
  'fan-out',
  // Ends the connections to registries.
  'upstream',
  // Publisher, inventory, verification and reading of certificates and keys.
  'loops',
  'idle collection',
  // Does nothing at the start. At the end it takes requests for --shutdown-delay, then those in flight finish within
  // --shutdown-timeout, while all of the above still works.
  'mirror drain',
  // Writes hosts.toml once the mirror answers, and removes it before the mirror takes no more requests.
  'hosts keeper',
] as const;

/** The running agent of one node. */
export interface Agent {
  /** Ends every part. The node is not ready from now on. */
  stop(): Promise<void>;
}

/**
 * The composition root: makes every part of the agent, gives it what it needs, and starts it. Resolves when
 * the ports are open, which is before the node is ready.
 *
 * @throws UsageError, ListenError, IdentityError, RegistriesError, StoreConfigError, SwarmKeyError, BasicAuthError,
 *   UpstreamCredentialsError and TlsConfigError, with nothing left running
 */
export async function startAgent(config: RegistryConfig, logger: Logger): Promise<Agent> {
  const log = (component: string): Logger => logger.child({ component });
  const metrics = createMetrics();
  const health = new Health();
  const settings = await configurationStage(config, { metrics, log });
  const { tls, shared, policy } = settings;

  await using starting = new AsyncDisposableStack();
  const parts = starting.use(new Lifecycle(PARTS));

  const storage = await storeStage(config, { metrics, log });
  parts.add('store', storage);
  const { guard } = storage;
  const { store } = guard;

  const { has: isLocal } = new LocalClients({}, { nodeAddresses: config['node-ip'] });
  const admin = adminStage(config, { metrics, health, isLocal });
  await parts.start('admin port', admin);
  const listener = { ...tls.listener, isLocal };
  const mirrorPort = new MirrorPort({ metrics }, config['registry-addr'], listener);
  const registryPort = await parts.start('mirror port', mirrorPort);
  const refusals = new RefusalLog({ metrics, logger: log('membership') });
  const nodePort = nodeMirrorPort(config, {
    listener: { ...tls.node, isLocal },
    refusals,
    metrics,
  });
  const containerdPort = nodePort ? await parts.start('node port', nodePort) : registryPort;

  const deciding = arbiterStage(config, { store, locate: (peerId) => router.locate(peerId) });
  const tagChecks = tagChecksStage(config, settings.membership);
  const questions = [deciding?.questions, tagChecks?.questions].filter((it) => it !== undefined);
  const routing = routingStage(config, {
    ...{ settings, registryPort, refusals, questions, metrics, log },
  });
  await parts.start('router', routing);
  const { router } = routing;
  const identity = identityPort(config, router);
  if (identity !== undefined) await parts.start('identity port', identity);

  const dataPlane = new DataPlane({ logger: log('kernel') }, config['data-plane']);
  const { signer, verifier, isOpen } = signaturesStage(router, settings.membership);
  const onWrong = (digest: Digest): void => fanOut?.wrong(digest);
  const peers = transferStage(
    {
      ...{ router, store, dataPlane, tls: tls.peers, signer, onWrong, metrics },
      confirm: (peerId, origin) => router.confirm(peerId, origin),
      logger: log('transfer'),
    },
    transferInit(config, settings),
  );
  parts.add('transfer', peers);
  const fanOut =
    deciding &&
    fanOutStage(config, {
      ...{ arbiter: deciding.arbiter, router, store, transfer: peers, dataPlane, policy },
      mayFetch: (request) => upstream?.mayFetch(request) ?? true,
      ...{ metrics, log },
    });
  if (fanOut !== undefined) parts.add('fan-out', fanOut);
  const upstream: Upstream | undefined =
    settings.upstream &&
    upstreamStage(
      config,
      {
        ...{ settings: settings.upstream, store, tails: fanOut?.tails, isLocal, dataPlane },
        ...{ sharing: tagChecks?.sharing(router), metrics, logger: log('upstream') },
      },
      [registryPort, containerdPort],
    );
  if (upstream !== undefined) parts.add('upstream', upstream);
  const { inventory, imported, loops } = inventoryStage({ store, router, policy, metrics, log });
  guard.nameImages(inventory);
  const onRefused = refusals.refused.bind(refusals);
  const callers = new Callers({ verifier, isLocal, onRefused }, { servesAnyone: isOpen });
  const outage = outageAnswers(config, { policy, inventory, isLocal, logger: log('mirror') });
  const names = new ImportedNames({
    ...{ policy, router },
    isImported: inventory.isImported.bind(inventory),
    onResolved: imported.resolved.bind(imported),
  });
  const mirror = mirrorStage(
    {
      store,
      remote: fanOut ? [fanOut.lease, fanOut.holders(peers.source), fanOut.source] : [peers.source],
      upstream: upstream?.source,
      tags: upstream?.tags,
      mayGoUpstream: ownClients(config, isLocal),
      unnamedRegistry: config['unnamed-registry'],
      followed: fanOut?.followed,
      policy,
      recordNames: (tagKey) => inventory.recordNames(tagKey),
      sharesDigest: (digest) => inventory.isShared(digest),
      holders: (digest) => router.known(digest).map(({ peerId }) => peerIdOf(peerId)),
      isLocal,
      callers,
      ...(outage && { outage }),
      names,
      dataPlane,
      metrics,
      logger: log('mirror'),
    },
    uploadsInit(config),
  );
  const { credentials } = settings;
  const guarded = guardWith(credentials, mirror, callers);
  mirrorPort.serve(guarded.peers);
  nodePort?.serve(guarded.node);

  const keepers = [
    ...[tls.keeper, settings.membership.keeper, credentials],
    ...[settings.upstream?.credentials, settings.upstream?.registries],
  ].filter((it) => it !== undefined);
  await parts.start('loops', new Loops([...loops, guard, ...keepers]));
  health.watch({ inventory, router });
  const { transfer, source: tags, ask } = peers;
  const effective = { registries: shared.names, registryPort, mirrorPort: containerdPort };
  admin.show({ dataPlane, guard, inventory, router, transfer, tags, ask, fanOut, ...effective });
  await parts.start('idle collection', new IdleCollection());
  const drain = {
    shutdownDelay: config['shutdown-delay'],
    shutdownTimeout: config['shutdown-timeout'],
  };
  parts.add('mirror drain', {
    stop: async () => {
      await Promise.all([mirrorPort.drain(drain), nodePort?.drain(drain)]);
    },
  });
  const keeper = hostsKeeperPart(config, {
    port: containerdPort,
    certificate: tls.node.tls?.source.current.identity?.cert,
    shared,
    credentials,
    metrics,
    logger: log('hosts'),
  });
  if (keeper !== undefined) await parts.start('hosts keeper', keeper);

  logger.info(
    { version: VERSION, peerId: router.peerId, registryPort, dataPlane: dataPlane.path },
    'agent started',
  );
  starting.move();
  return {
    stop: async () => {
      health.stopping();
      await parts[Symbol.asyncDispose]();
    },
  };
}
