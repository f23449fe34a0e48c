import { isAbsolute, join, resolve } from 'node:path';

import type { Logger } from 'pino';

import type { Credentials } from '../basic-auth/credentials.ts';
import type { CONFIGURATION_OPTIONS } from '../config/hosts-options.ts';
import type { OptionValues } from '../config/options.ts';
import type { MirroredRegistry } from '../config/registry-names.ts';
import { UsageError } from '../config/resolve.ts';
import { AuthorityConfigurator } from '../hosts/authority-file.ts';
import { nodeFileOperations } from '../hosts/file-operations.ts';
import { HostsConfigurator } from '../hosts/hosts-configurator.ts';
import {
  DEFAULT_FOLDER,
  type HostEntry,
  type HostOptions,
  type RegistryHosts,
} from '../hosts/hosts-toml.ts';
import { ReadableConfigurator } from '../hosts/readable-hosts.ts';
import { AUTHORITY_COPY } from '../hosts/root-folder.ts';
import { Deadline } from '../timing/deadline.ts';
import { parseCertificates, readPem } from '../tls/read-pem.ts';

/** The options that `configuration` and `registry --configure` share. */
type MirrorConfig = OptionValues<typeof CONFIGURATION_OPTIONS>;

/**
 * How long containerd waits for a connection to the mirror. Spegel's 200 ms are too short for a busy node: the parallel
 * fetch of containerd opens one connection for each chunk, and a single late one fails the whole pull. The delay costs
 * nothing when the mirror is down, because the kernel then refuses the connection at once.
 */
const DIAL_TIMEOUT = '2s';

/** How long containerd may take to say its version, in milliseconds. */
const VERSION_MS = 5_000;

/** The registries whose images are shared; an empty list for all. */
export function sharedRegistries(
  config: Pick<MirrorConfig, 'mirrored-registries'>,
): readonly string[] {
  const names = config['mirrored-registries'];
  return names.includes(undefined)
    ? []
    : names.filter((name) => name !== undefined).map(({ registry }) => registry);
}

/**
 * The `hosts.toml` files that the options ask for.
 *
 * @throws UsageError without a mirror, or when a registry is given in two ways
 */
export function wantedHosts(
  config: Pick<MirrorConfig, 'mirrored-registries' | 'mirror-targets' | 'resolve-tags'> & MirrorTls,
  credentials?: Credentials,
): RegistryHosts[] {
  const hosts = mirrorEntries(config, credentials);
  const given = config['mirrored-registries'];
  const all: readonly (MirroredRegistry | undefined)[] = given.length === 0 ? [undefined] : given;
  const wanted = new Map<string, RegistryHosts>();
  for (const each of all) {
    const { registry, server } = each ?? { registry: DEFAULT_FOLDER };
    const before = wanted.get(registry);
    if (before !== undefined && before.file.server !== server) {
      throw new UsageError(`--mirrored-registries: ${registry} is given twice, in different ways`);
    }
    wanted.set(registry, { registry, file: { ...(server !== undefined && { server }), hosts } });
  }
  return [...wanted.values()];
}

/** The options for mirrors with TLS. */
type MirrorTls = Pick<
  MirrorConfig,
  | 'mirror-target-ca'
  | 'mirror-target-ca-copy'
  | 'mirror-target-cert'
  | 'mirror-target-key'
  | 'containerd-registry-config-path'
>;

/**
 * The mirrors as entries of a `hosts.toml`.
 *
 * @param credentials what containerd is to send to each mirror; default: none
 * @throws UsageError without any, or when the options for TLS do not fit
 */
export function mirrorEntries(
  config: Pick<MirrorConfig, 'mirror-targets' | 'resolve-tags'> & MirrorTls,
  credentials?: Credentials,
): HostEntry[] {
  const targets = [...new Set(config['mirror-targets'])];
  if (targets.length === 0) {
    throw new UsageError('--mirror-targets is needed: where the mirror is, http://127.0.0.1:5000');
  }
  const tls = tlsOptions(config);
  if (Object.keys(tls).length > 0 && !targets.some(isHttps)) {
    throw new UsageError(
      '--mirror-target-ca, -ca-copy, -cert and -key are for https:// mirrors; none is',
    );
  }
  return targets.map((url) => ({
    url,
    capabilities: config['resolve-tags'] ? ['pull', 'resolve'] : ['pull'],
    // For a mirror with plain HTTP they would make containerd try HTTPS first.
    ...(isHttps(url) && tls),
    ...(credentials && { header: { Authorization: [credentials.authorization.reveal()] } }),
    dialTimeout: DIAL_TIMEOUT,
  }));
}

function isHttps(url: string): boolean {
  return url.startsWith('https:');
}

function tlsOptions(config: MirrorTls): Pick<HostOptions, 'ca' | 'client'> {
  const copied = config['mirror-target-ca-copy'];
  if (copied !== '' && config['mirror-target-ca'] !== '') {
    throw new UsageError('--mirror-target-ca and --mirror-target-ca-copy: give only one of them');
  }
  const ca =
    copied === ''
      ? config['mirror-target-ca']
      : join(resolve(config['containerd-registry-config-path']), AUTHORITY_COPY);
  const cert = config['mirror-target-cert'];
  const key = config['mirror-target-key'];
  if ((cert === '') !== (key === '')) {
    throw new UsageError('--mirror-target-cert and --mirror-target-key go together; give both');
  }
  for (const file of [ca, cert, key]) {
    if (file === '' || isAbsolute(file)) continue;
    throw new UsageError(
      `--mirror-target-ca, -cert, -key: "${file}" is no absolute path; containerd would look for it beside hosts.toml`,
    );
  }
  return { ...(ca !== '' && { ca: [ca] }), ...(cert !== '' && { client: [[cert, key]] }) };
}

/** Makes the configurator for the folder that the options name. */
export function createConfigurator(
  config: Pick<MirrorConfig, 'containerd-registry-config-path'> &
    Partial<Pick<MirrorConfig, 'mirror-target-ca-copy' | 'containerd-sock'>>,
  logger: Logger,
): ReadableConfigurator {
  const path = config['containerd-registry-config-path'];
  if (path === '') throw new UsageError('--containerd-registry-config-path: no folder given');
  const configurator = new HostsConfigurator({ files: nodeFileOperations, logger }, { path });
  const file = config['mirror-target-ca-copy'] ?? '';
  const read = async (): Promise<Buffer> => {
    const pem = await readPem('--mirror-target-ca-copy', file);
    parseCertificates('--mirror-target-ca-copy', file, pem);
    return pem;
  };
  const withAuthority = new AuthorityConfigurator(
    { configurator, logger },
    { path, read: file === '' ? undefined : read },
  );
  const version = (signal: AbortSignal): Promise<string> =>
    containerdVersion(config['containerd-sock'] ?? '', signal);
  return new ReadableConfigurator({ configurator: withAuthority, version });
}

/** @throws UsageError without a socket; StoreUnavailableError when nothing answers there */
async function containerdVersion(socketPath: string, signal: AbortSignal): Promise<string> {
  if (socketPath === '') throw new UsageError('no socket given');
  // Rarely needed, and `configuration` does without gRPC otherwise.
  const { ContainerdClient } = await import('../store/containerd/client.ts');
  using deadline = new Deadline(VERSION_MS, signal);
  using containerd = new ContainerdClient({
    socketPath,
    namespace: 'k8s.io',
    callTimeout: VERSION_MS,
  });
  return await containerd.version(deadline.signal);
}
