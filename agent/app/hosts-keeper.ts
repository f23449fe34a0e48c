import { X509Certificate } from 'node:crypto';
import { resolve } from 'node:path';

import type { Logger } from 'pino';

import type { Credentials } from '../basic-auth/credentials.ts';
import type { CredentialsKeeper } from '../basic-auth/credentials-keeper.ts';
import type { RegistryConfig } from '../config/options.ts';
import { UsageError } from '../config/resolve.ts';
import { HostsKeeper } from '../hosts/hosts-keeper.ts';
import type { RegistryHosts } from '../hosts/hosts-toml.ts';
import type { Metrics } from '../metrics/metrics.ts';
import type { Part } from './lifecycle.ts';
import { createConfigurator, mirrorEntries, wantedHosts } from './hosts-options.ts';
import { Loops } from './loops.ts';
import { hostsOf, type SharedRegistries } from './registries.ts';

/** What {@link hostsKeeperPart} needs of the running agent. */
export interface HostsKeeperComponents {
  /** Where the mirror listens for the containerd of this node. */
  readonly port: number;
  /** PEM of the certificate that it serves with; undefined where it speaks plain HTTP. */
  readonly certificate: Buffer | undefined;
  readonly shared: SharedRegistries;
  /** What containerd is to send to the mirror; undefined where that needs no credentials. */
  readonly credentials: Pick<CredentialsKeeper, 'current' | 'onChange'> | undefined;
  readonly metrics: Metrics;
  readonly logger: Logger;
}

/**
 * The part that configures containerd and keeps it so. It must start after the mirror listens: a port that `hosts.toml`
 * names has to answer. When it stops it removes what it wrote, with `--configure-remove-on-exit`.
 *
 * @returns undefined without `--configure`
 * @throws UsageError for options that do not go together
 */
export function hostsKeeperPart(
  config: RegistryConfig,
  { port, certificate, shared, credentials, metrics, logger }: HostsKeeperComponents,
): Part | undefined {
  if (!config.configure) return undefined;
  const own = ownTarget(config, { port, certificate, logger });
  const wantedWith = (current?: Credentials): readonly RegistryHosts[] =>
    wanted({ ...config, ...own }, { shared, credentials: current, logger });
  let files = wantedWith(credentials?.current);
  const keeper = new HostsKeeper(
    { configurator: createConfigurator(config, logger), metrics, logger },
    {
      path: config['containerd-registry-config-path'],
      wanted: () => files,
      // What k3s wrote from the same file has more than ours can have: rewrites.
      prependExisting: config['prepend-existing'] || shared.file?.found === true,
    },
  );
  credentials?.onChange(() => {
    files = wantedWith(credentials.current);
    keeper.refresh();
  });
  const loop = new Loops([keeper]);
  return {
    start: () => {
      loop.start();
    },
    stop: async () => {
      await loop.stop();
      if (config['configure-remove-on-exit']) await keeper.remove();
    },
  };
}

function wanted(
  config: RegistryConfig,
  {
    shared: { names, file },
    credentials,
    logger,
  }: {
    readonly shared: SharedRegistries;
    readonly credentials: Credentials | undefined;
    readonly logger: Logger;
  },
): readonly RegistryHosts[] {
  // k3s may have the file for credentials only; then it names no mirrors.
  const namesMirrors = file !== undefined && (names.length > 0 || file.registries.mirrors.has('*'));
  if (!namesMirrors) {
    if (!config['disable-default-registry-endpoint']) return wantedHosts(config, credentials);
    throw new UsageError('--disable-default-registry-endpoint needs --registries-yaml');
  }
  return hostsOf(file, { ...config, mirrors: mirrorEntries(config, credentials) }, logger);
}

type Target = Pick<
  RegistryConfig,
  'mirror-targets' | 'mirror-target-ca' | 'mirror-target-cert' | 'mirror-target-key'
>;

/** This agent as the mirror, unless the options name other mirrors. */
function ownTarget(
  config: RegistryConfig,
  { port, certificate, logger }: Pick<HostsKeeperComponents, 'port' | 'certificate' | 'logger'>,
): Partial<Target> {
  if (config['mirror-targets'].length > 0) return {};
  const host = ownHost((config['mirror-addr'] ?? config['registry-addr']).host);
  const name = host.includes(':') ? `[${host}]` : host;
  if (certificate === undefined) return { 'mirror-targets': [`http://${name}:${port}`] };
  if (!isFor(certificate, host)) {
    logger.warn(
      { host },
      'the certificate is not for the address that hosts.toml names, so containerd will refuse it: add the address to the names of the certificate, or give --mirror-targets',
    );
  }
  const copied = config['mirror-target-ca-copy'] !== '';
  const ca = config['mirror-target-ca'] || (copied ? '' : config['registry-tls-ca']);
  const needsCertificate = config['registry-tls-client-auth'] === 'require';
  const client = {
    cert: config['registry-tls-client-cert'] || config['registry-tls-cert'],
    key: config['registry-tls-client-key'] || config['registry-tls-key'],
  };
  return {
    'mirror-targets': [`https://${name}:${port}`],
    'mirror-target-ca': ca === '' ? '' : resolve(ca),
    ...(needsCertificate &&
      config['mirror-target-cert'] === '' &&
      config['mirror-target-key'] === '' && {
        'mirror-target-cert': resolve(client.cert),
        'mirror-target-key': resolve(client.key),
      }),
  };
}

function isFor(certificate: Buffer, host: string): boolean {
  const own = new X509Certificate(certificate);
  return own.checkIP(host) !== undefined || own.checkHost(host) !== undefined;
}

/** The address at which containerd on this node reaches a listener. */
function ownHost(host: string): string {
  return ['', '0.0.0.0', '::'].includes(host) ? '127.0.0.1' : host;
}
