import type { PrivateKey } from '@libp2p/interface';

import type { RegistryConfig } from '../../config/options.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import { SharePolicy } from '../../oci/share-policy.ts';
import { loadIdentity } from '../../routing/node/identity.ts';
import type { VerifiedBufferInit } from '../../transfer/verify/verified-buffer.ts';
import type { ComponentLogger } from '../component-logger.ts';
import { registriesToShare, type SharedRegistries } from '../registries.ts';
import { routingSettings, type RoutingSettings } from '../routing-options.ts';
import { createTls, type AgentTls } from '../tls.ts';
import { verifiedBufferInit } from '../verified-buffer-options.ts';

/** What options and the files that they name come to. */
export interface AgentSettings {
  readonly verifiedBuffer: Required<VerifiedBufferInit>;
  readonly tls: AgentTls;
  readonly routing: RoutingSettings;
  readonly shared: SharedRegistries;
  readonly policy: SharePolicy;
  /** The identity of this node, which `--data-dir` keeps. */
  readonly privateKey: PrivateKey;
}

/**
 * Checks the options against each other and reads the files that they name. Nothing runs yet when it fails.
 *
 * @throws UsageError, TlsConfigError, RegistriesError and IdentityError
 */
export async function configurationStage(
  config: RegistryConfig,
  { metrics, log }: { readonly metrics: Metrics; readonly log: ComponentLogger },
): Promise<AgentSettings> {
  const verifiedBuffer = verifiedBufferInit(config);
  const routing = routingSettings(config);
  const tls = await createTls(config, metrics, log('tls'));
  const shared = await registriesToShare(config, log('registries'));
  const policy = new SharePolicy({
    registries: shared.names,
    filters: config['registry-filters'],
    latest: config['enable-latest'],
  });
  const privateKey = await loadIdentity(config['data-dir']);
  return { verifiedBuffer, tls, routing, shared, policy, privateKey };
}
