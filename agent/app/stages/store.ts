import type { RegistryConfig } from '../../config/options.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { ComponentLogger } from '../component-logger.ts';
import { guardStore, type Guard } from '../integrity.ts';
import { createStore } from '../store.ts';

/** The content of this node behind its guard. */
export interface StoreStage {
  readonly guard: Guard;
  /** Ends the verifications under way, then the connection to containerd. */
  stop(): Promise<void>;
}

/**
 * Opens the store that the options name, and puts the guard in front of it.
 *
 * @throws StoreConfigError
 */
export async function storeStage(
  config: RegistryConfig,
  { metrics, log }: { readonly metrics: Metrics; readonly log: ComponentLogger },
): Promise<StoreStage> {
  await using resources = new AsyncDisposableStack();
  const store = createStore(config, resources, { metrics, logger: log('store') });
  const guard = await guardStore(
    { store, metrics, logger: log('integrity') },
    {
      folder: config['data-dir'],
      rate: config['scrub-rate'],
      interval: config['scrub-interval'],
    },
    resources,
  );
  const opened = resources.move();
  return { guard, stop: () => opened.disposeAsync() };
}
