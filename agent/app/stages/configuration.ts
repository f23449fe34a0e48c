import type { PrivateKey } from '@libp2p/interface';

import type { CredentialsKeeper } from '../../basic-auth/credentials-keeper.ts';
import type { RegistryConfig } from '../../config/options.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import { SharePolicy } from '../../oci/share-policy.ts';
import { loadIdentity } from '../../routing/node/identity.ts';
import type { VerifiedBufferInit } from '../../transfer/verify/verified-buffer.ts';
import { loadCredentials } from '../basic-auth.ts';
import type { ComponentLogger } from '../component-logger.ts';
import { registriesToShare, type SharedRegistries } from '../registries.ts';
import { routingSettings, type RoutingSettings } from '../routing-options.ts';
import { membershipSettings, type MembershipSettings } from '../membership.ts';
import { createTls, type AgentTls } from '../tls.ts';
import { upstreamSettings, type UpstreamSettings } from '../upstream-settings.ts';
import { verifiedBufferInit } from '../verified-buffer-options.ts';

/** What options and the files that they name come to. */
export interface AgentSettings {
  readonly verifiedBuffer: Required<VerifiedBufferInit>;
  readonly tls: AgentTls;
  readonly routing: RoutingSettings;
  readonly membership: MembershipSettings;
  /** What clients must send; undefined where they need no credentials. */
  readonly credentials: CredentialsKeeper | undefined;
  readonly shared: SharedRegistries;
  readonly policy: SharePolicy;
  /** Of registries that the agent asks itself; undefined where it asks none. */
  readonly upstream: UpstreamSettings | undefined;
  /** The identity of this node, which `--data-dir` keeps. */
  readonly privateKey: PrivateKey;
}

/**
 * Checks the options against each other and reads the files that they name. Nothing runs yet when it fails.
 *
 * @throws UsageError, SwarmKeyError, TlsConfigError, BasicAuthError, RegistriesError, UpstreamCredentialsError and
 *   IdentityError
 */
export async function configurationStage(
  config: RegistryConfig,
  { metrics, log }: { readonly metrics: Metrics; readonly log: ComponentLogger },
): Promise<AgentSettings> {
  const verifiedBuffer = verifiedBufferInit(config);
  const routing = routingSettings(config);
  let identity: Promise<PrivateKey> | undefined;
  // Without --data-dir each load makes another one.
  const loadOnce = (): Promise<PrivateKey> => (identity ??= loadIdentity(config['data-dir']));
  const tls = await createTls(config, { metrics, logger: log('tls'), loadIdentity: loadOnce });
  const membership = await membershipSettings(config, log('membership'));
  const credentials = await loadCredentials(config, log('basic-auth'));
  const shared = await registriesToShare(config, log('registries'));
  const upstream = await upstreamSettings(config, shared, log('upstream'));
  const policy = new SharePolicy({
    registries: shared.names,
    filters: config['registry-filters'],
    tags: config['resolve-tags'],
    latest: config['enable-latest'],
    rules: [...config.share, ...(upstream?.rules ?? [])],
    withCredentials: upstream?.rules ?? [],
  });
  const privateKey = await loadOnce();
  return {
    ...{ verifiedBuffer, tls, routing, membership, credentials, shared, policy, upstream },
    privateKey,
  };
}
