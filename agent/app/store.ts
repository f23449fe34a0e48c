import { statSync } from 'node:fs';

import type { Logger } from 'pino';

import type { RegistryConfig } from '../config/options.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { ContainerdStore } from '../store/containerd-store.ts';
import type { ContentStore } from '../store/content-store.ts';
import { OciLayoutStore } from '../store/oci-layout-store.ts';

/** A file that the options name can never be a store. The message names the option and the remedy. */
class StoreConfigError extends Error {
  override readonly name = 'StoreConfigError';
  readonly code = 'ERR_STORE_CONFIG';
}

/**
 * Makes the store that the options name: an OCI image layout, or else containerd.
 *
 * The store waits for a socket or folder that does not exist yet, and logs that. A file of another kind at that path is
 * an error, because waiting does not help.
 *
 * @param resources takes what has to be closed at the end
 */
export function createStore(
  config: RegistryConfig,
  resources: AsyncDisposableStack,
  { metrics, logger }: { readonly metrics: Metrics; readonly logger: Logger },
): ContentStore {
  const onReachable = (reachable: boolean): void => {
    metrics.storeReachable.set(reachable ? 1 : 0);
  };
  const comparisonInterval = config['compare-interval'];
  const layout = config['oci-layout'];
  if (layout !== '') {
    return new OciLayoutStore({ path: layout, logger, comparisonInterval, onReachable });
  }

  const socketPath = config['containerd-sock'];
  const entry = statSync(socketPath, { throwIfNoEntry: false });
  if (entry !== undefined && !entry.isSocket()) {
    throw new StoreConfigError(
      `--containerd-sock ${socketPath}: not a socket; k3s and RKE2 have theirs at /run/k3s/containerd/containerd.sock`,
    );
  }
  const contentPath = config['containerd-content-path'];
  if (statSync(contentPath, { throwIfNoEntry: false })?.isFile() === true) {
    throw new StoreConfigError(`--containerd-content-path ${contentPath}: a file, not a folder`);
  }
  const namespace = config['containerd-namespace'];
  const init = { socketPath, namespace, contentPath, logger, comparisonInterval, onReachable };
  return resources.use(new ContainerdStore(init));
}
