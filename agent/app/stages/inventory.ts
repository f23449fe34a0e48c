import { ImportedImages } from '../../inventory/imported-images.ts';
import { Inventory } from '../../inventory/inventory.ts';
import { Publisher } from '../../inventory/publisher.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { SharePolicy } from '../../oci/share-policy.ts';
import type { Router } from '../../routing/router.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { ComponentLogger } from '../component-logger.ts';
import type { Loop } from '../loops.ts';

/** What {@link inventoryStage} needs of the stages before it. */
export interface InventoryStageComponents {
  readonly store: ContentStore;
  readonly router: Router;
  readonly policy: SharePolicy;
  readonly metrics: Metrics;
  readonly log: ComponentLogger;
}

/** What this node holds and advertises. */
export interface InventoryStage {
  readonly inventory: Inventory;
  readonly imported: ImportedImages;
  /** Follow the store, and advertise its content. */
  readonly loops: readonly Loop[];
}

/** Makes the inventory of the store and the publisher of its keys. */
export function inventoryStage({
  store,
  router,
  policy,
  metrics,
  log,
}: InventoryStageComponents): InventoryStage {
  const logger = log('inventory');
  const publisher = new Publisher({ router, metrics, logger });
  const imported = new ImportedImages({ policy, provenance: store.provenance, logger });
  const inventory = new Inventory({ store, publisher, policy, imported, metrics, logger });
  return { inventory, imported, loops: [publisher, inventory] };
}
