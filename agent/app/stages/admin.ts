import { AdminHandler, type DebugSources } from '../../admin/admin-handler.ts';
import type { RegistryConfig } from '../../config/options.ts';
import { isOnLoopback } from '../../http/local-clients.ts';
import { HttpListener, type RequestHandler } from '../../http/http-listener.ts';
import type { Inventory } from '../../inventory/inventory.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { DataPlane } from '../../native/data-plane.ts';
import { canonicalName } from '../../oci/reference.ts';
import type { Libp2pRouter } from '../../routing/libp2p-router.ts';
import type { PeerTransfer } from '../../transfer/peer-transfer.ts';
import type { TagAgreement } from '../../transfer/tag-agreement.ts';
import { fanOutState, whyNoFanOut } from '../fan-out-state.ts';
import { refreshGauges } from '../gauges.ts';
import type { Health } from '../health.ts';
import type { FanOutStage } from './fan-out.ts';
import type { Guard } from '../integrity.ts';
import { sharedSettings } from '../shared-settings.ts';
import { VERSION } from '../version.ts';

/** How long monitoring may take to read the last numbers at the end, in milliseconds. */
const GRACE_MS = 500;

/** Peers that `/debug/peers` names. */
const MAX_PEERS = 100;

/** The parts whose state the admin port shows. */
export interface AdminSources {
  readonly dataPlane: DataPlane;
  readonly guard: Guard;
  readonly inventory: Inventory;
  readonly router: Libp2pRouter;
  readonly transfer: Pick<PeerTransfer, 'blocklist'>;
  /** The tags about which holders disagree. */
  readonly tags: Pick<TagAgreement, 'status'>;
  readonly ask: DebugSources['ask'];
  /** Absent where each node downloads for itself. */
  readonly fanOut?: Pick<FanOutStage, 'report' | 'refresh'> | undefined;
  /** The registries whose images are shared; none for all. */
  readonly registries: readonly string[];
  /** Where the mirror listens for peers. */
  readonly registryPort: number;
  /** Where it listens for the containerd of this node; the same without `--mirror-addr`. */
  readonly mirrorPort: number;
}

interface AdminComponents {
  readonly metrics: Metrics;
  readonly health: Health;
  /** Whether a client is on this node, as the kubelet is. */
  readonly isLocal: (address: string | undefined) => boolean;
}

/** The admin port: metrics and health, and the state of the agent below `/debug/`. */
export interface AdminStage {
  /** Opens the port, which answers `/livez`, `/readyz` and `/metrics` from now on. @throws ListenError */
  start(): Promise<number>;
  /** Shows the state of these parts as well: in gauges, and below `/debug/` unless the options leave that out. */
  show(sources: AdminSources): void;
  stop(): Promise<void>;
}

/** Makes the admin port, which is not open yet. */
export function adminStage(
  config: RegistryConfig,
  { metrics, health, isLocal }: AdminComponents,
): AdminStage {
  let sources: AdminSources | undefined;
  const handler = new AdminHandler({
    metrics,
    readiness: () => health.readiness(),
    refresh: () => {
      if (sources === undefined) return;
      refreshGauges(metrics, { ...sources, health });
      sources.fanOut?.refresh();
    },
    debug: () =>
      sources && config['debug-web-enabled'] ? debugSources(config, health, sources) : undefined,
    mayDebug: {
      loopback: isOnLoopback,
      node: isLocal,
      any: () => true,
    }[config['debug-clients']],
  });
  const answer: RequestHandler = async (req, res) => {
    await handler.handle(req, res);
  };
  const address = config['metrics-addr'];
  const listener = new HttpListener(address, '--metrics-addr', answer, { isLocal });
  return {
    start: () => listener.start(),
    show: (parts) => {
      sources = parts;
    },
    stop: () => listener.stop(GRACE_MS),
  };
}

function debugSources(
  config: RegistryConfig,
  health: Health,
  { guard, inventory, router, transfer, tags, ask, fanOut, ...effective }: AdminSources,
): DebugSources {
  return {
    status: async () => ({
      version: VERSION,
      peerId: router.peerId,
      origins: router.self().origins,
      listening: router.listening.map(String),
      settings: sharedSettings(config, {
        registries: effective.registries,
        registryPort: effective.registryPort,
        mirrorPort: effective.mirrorPort,
      }),
      ...health.readiness(),
      store: inventory.status(),
      integrity: guard.status(),
      directory: { ...router.status(), bootstrap: router.bootstrapAddresses() },
      fanOut: await fanOutState(config, { store: guard.store, router }),
      banned: transfer.blocklist.status(),
      tagDisagreements: tags.status(),
      advertised: Object.fromEntries(inventory.countByRegistry()),
    }),
    peers: () => router.peers(MAX_PEERS),
    downloads: () =>
      fanOut?.report() ?? { enabled: false, reason: whyNoFanOut(config, guard.store) },
    lookup: (key, signal) => router.lookup(canonicalName(key), signal),
    ask,
  };
}
