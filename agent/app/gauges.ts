import { totalmem } from 'node:os';

import type { Inventory } from '../inventory/inventory.ts';
import type { DataPlane } from '../native/data-plane.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Router } from '../routing/router.ts';
import type { PeerTransfer } from '../transfer/peer-transfer.ts';
import type { Health } from './health.ts';

/** The parts whose state the gauges show. */
interface GaugeSources {
  readonly dataPlane: Pick<DataPlane, 'path'>;
  readonly inventory: Pick<Inventory, 'countByRegistry'>;
  readonly router: Pick<Router, 'status'>;
  readonly transfer: Pick<PeerTransfer, 'blocklist'>;
  readonly health: Pick<Health, 'readiness'>;
}

/** Sets the gauges that show a state. Called before each scrape, since nothing else updates them. */
export function refreshGauges(
  metrics: Metrics,
  { dataPlane, inventory, router, transfer, health }: GaugeSources,
): void {
  for (const path of ['kernel', 'stream'] as const) {
    metrics.dataPlane.set({ path }, dataPlane.path === path ? 1 : 0);
  }
  metrics.advertisedImages.reset();
  metrics.advertisedImageTags.reset();
  metrics.advertisedImageDigests.reset();
  metrics.advertisedContentDigests.reset();
  for (const [registry, { tags, images, content }] of inventory.countByRegistry()) {
    metrics.advertisedImages.set({ registry }, tags + images);
    metrics.advertisedImageTags.set({ registry }, tags);
    metrics.advertisedImageDigests.set({ registry }, images);
    metrics.advertisedContentDigests.set({ registry }, content);
  }
  metrics.memoryLimit.set(memoryLimit());
  const { ready } = health.readiness();
  metrics.ready.set(ready ? 1 : 0);
  const { peers, advertisedKeys, records } = router.status();
  metrics.routingPeers.set(peers);
  metrics.advertisedKeys.set(advertisedKeys);
  metrics.dhtRecords.set(records);
  const banned = transfer.blocklist.count();
  metrics.blockedPeers.set({ from: 'everything' }, banned.everything);
  metrics.blockedPeers.set({ from: 'content' }, banned.keys);
}

/** Zero for no limit: Node then gives zero, the memory of the machine or a number beyond that of any machine. */
function memoryLimit(): number {
  const limit = process.constrainedMemory();
  return limit < totalmem() ? limit : 0;
}
