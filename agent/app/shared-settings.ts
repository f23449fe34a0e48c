import type { RegistryConfig } from '../config/options.ts';

/**
 * The options that `/debug/status` tells, since what is asked of the agent cannot be understood without them, by
 * `doctor` for one. Nothing secret is among them.
 *
 * @param effective what came of them: the registries that are shared, none for all, and the port of the mirror
 */
export function sharedSettings(
  config: RegistryConfig,
  effective: { readonly registries: readonly string[]; readonly registryPort: number },
): Record<string, unknown> {
  const containerd = config['oci-layout'] === '';
  return {
    ...effective,
    registryHost: config['registry-addr'].host,
    registryTls: config['registry-tls-cert'] !== '',
    filters: config['registry-filters'].map(({ source }) => source),
    latest: config['enable-latest'],
    bootstrapKind: config['bootstrap-kind'],
    zone: config.zone,
    ...(containerd
      ? {
          containerdSock: config['containerd-sock'],
          namespace: config['containerd-namespace'],
          contentPath: config['containerd-content-path'],
        }
      : { ociLayout: config['oci-layout'] }),
  };
}
