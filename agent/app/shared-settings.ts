import type { RegistryConfig } from '../config/options.ts';

/**
 * The options that `/debug/status` shows. `doctor`, for example, needs them to interpret the other answers of the
 * agent. None of them is secret.
 *
 * @param effective the shared registries (an empty list for all) and the ports of the mirror, as the options resolve to: for peers,
 *   and for the containerd of this node
 */
export function sharedSettings(
  config: RegistryConfig,
  effective: {
    readonly registries: readonly string[];
    readonly registryPort: number;
    readonly mirrorPort: number;
  },
): Record<string, unknown> {
  const containerd = config['oci-layout'] === '';
  return {
    ...effective,
    registryHost: config['registry-addr'].host,
    mirrorHost: (config['mirror-addr'] ?? config['registry-addr']).host,
    mirrorClients: config['mirror-addr'] === undefined ? 'any' : config['mirror-clients'],
    registryTls: config['registry-tls-cert'] !== '',
    filters: config['registry-filters'].map(({ source }) => source),
    resolveTags: config['resolve-tags'],
    latest: config['enable-latest'],
    share: config.share.map(({ text }) => text),
    authorizedOutage: config['authorized-outage'],
    bootstrapKind: config['bootstrap-kind'],
    open: config.open,
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
