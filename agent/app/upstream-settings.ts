import type { Logger } from 'pino';

import type { RegistryConfig } from '../config/options.ts';
import { readRegistriesFile } from '../hosts/registries/registries-file.ts';
import type { ShareRule } from '../oci/share-rule.ts';
import type { UpstreamEndpointsInit } from '../upstream/where/upstream-endpoints.ts';
import type { FollowFilesInit } from '../timing/follow-files.ts';
import { FollowedRegistries } from '../upstream/where/followed-registries.ts';
import { UpstreamCredentials } from '../upstream/where/upstream-credentials.ts';
import { usableRegistries, type SharedRegistries } from './registries.ts';

/** What the options say of registries that the agent asks itself. */
export interface UpstreamSettings {
  readonly endpoints: UpstreamEndpointsInit;
  readonly credentials: UpstreamCredentials;
  /** registries.yaml; undefined where there is none. */
  readonly registries: FollowedRegistries | undefined;
  /** How images are shared that may have been fetched with credentials, behind the rules of `--share`. */
  readonly rules: readonly ShareRule[];
}

/**
 * Reads what `--upstream` needs.
 *
 * @param follow how changed files are looked for
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
  follow: FollowFilesInit = {},
): Promise<UpstreamSettings | undefined> {
  if (config.upstream.length === 0) return undefined;
  const registries =
    file &&
    new FollowedRegistries(
      {
        read: () => readRegistriesFile(file.path),
        parse: (text) => usableRegistries(file.path, text, { strict: false }, logger),
        logger,
      },
      { current: file.registries, text: file.text },
      follow,
    );
  const path = config['upstream-credentials'];
  const credentials = await UpstreamCredentials.load(
    { ...follow, registries, ...(path !== '' && { file: path }) },
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
    registries,
    rules,
  };
}
