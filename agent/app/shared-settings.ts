import type { RegistryConfig } from '../config/options.ts';

/**
 * The options that `/debug/status` shows. `doctor`, for example, needs them to interpret the other answers of the
 * agent. None of them is secret.
 *
 * @param effective the shared registries (an empty list for all) and the port of the mirror, as the options resolve to
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
    configure: config.configure,
    ...(containerd
      ? {
          containerdSock: config['containerd-sock'],
          namespace: config['containerd-namespace'],
          contentPath: config['containerd-content-path'],
        }
      : { ociLayout: config['oci-layout'] }),
  };
}
