import { statSync } from 'node:fs';

import type { Logger } from 'pino';

import type { RegistryConfig } from '../config/options.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { ContainerdStore } from '../store/containerd-store.ts';
import type { ContentStore } from '../store/content-store.ts';
import { OciLayoutStore } from '../store/oci-layout-store.ts';

/** What the options point at can never become a store. The message names the option and what to do. */
class StoreConfigError extends Error {
  override readonly name = 'StoreConfigError';
  readonly code = 'ERR_STORE_CONFIG';
}

/**
 * Makes the store that the options name: an OCI image layout, or else containerd.
 *
 * A socket or folder that is not there yet is waited for, with a line in the log; something else in its
 * place is an error, since no waiting mends that.
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
