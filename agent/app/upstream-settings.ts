import type { Logger } from 'pino';

import type { RegistryConfig } from '../config/options.ts';
import type { ShareRule } from '../oci/share-rule.ts';
import type { UpstreamEndpointsInit } from '../upstream/where/upstream-endpoints.ts';
import { UpstreamCredentials } from '../upstream/where/upstream-credentials.ts';
import type { SharedRegistries } from './registries.ts';

/** What the options say of registries that the agent asks itself. */
export interface UpstreamSettings {
  readonly endpoints: UpstreamEndpointsInit;
  readonly credentials: UpstreamCredentials;
  /** How images are shared that may have been fetched with credentials, behind the rules of `--share`. */
  readonly rules: readonly ShareRule[];
}

/**
 * Reads what `--upstream` needs.
 *
 * @returns undefined without the option: containerd then goes to registries itself
 * @throws UpstreamCredentialsError
 */
export async function upstreamSettings(
  config: Pick<
    RegistryConfig,
    'upstream' | 'upstream-credentials' | 'disable-default-registry-endpoint'
  >,
  { file }: Pick<SharedRegistries, 'file'>,
  logger: Logger,
): Promise<UpstreamSettings | undefined> {
  if (config.upstream.length === 0) return undefined;
  const registries = file?.registries;
  const path = config['upstream-credentials'];
  const credentials = await UpstreamCredentials.load(
    { registries, ...(path !== '' && { file: path }) },
    logger,
  );
  const rules = credentials.repositories.map(({ registry, path: below }): ShareRule => ({
    text: `${registry}=authorized`,
    mode: 'authorized',
    registry,
    path: below === '' ? [] : below.split('/'),
  }));
  return {
    endpoints: {
      names: config.upstream,
      registries,
      defaultEndpoint: !config['disable-default-registry-endpoint'],
    },
    credentials,
    rules,
  };
}
