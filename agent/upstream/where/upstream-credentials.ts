import { open } from 'node:fs/promises';

import type { Logger } from 'pino';

import { codeOf } from '../../errors/system-error.ts';
import { configOf, type Registries, type RegistryAuth } from '../../hosts/registries/registries.ts';
import { Secret } from '../../hosts/registries/secret.ts';
import { matchesHost } from '../../oci/host-pattern.ts';
import { canonicalRegistry } from '../../oci/reference.ts';
import { followFiles, type FollowFilesInit } from '../../timing/follow-files.ts';
import { authFor, parseDockerConfig, type Credential, type DockerConfig } from './docker-config.ts';
import type { CurrentRegistries } from './followed-registries.ts';
import type { UpstreamEndpoint } from './upstream-endpoints.ts';

/** Maximum size of a `config.json`, in bytes. */
const MAX_BYTES = 1024 * 1024;

const NONE: DockerConfig = { auths: [], helpers: [], tooWide: [] };

/** A file of credentials cannot be used. The message does not repeat it. */
export class UpstreamCredentialsError extends Error {
  override readonly name = 'UpstreamCredentialsError';
  readonly code = 'ERR_UPSTREAM_CREDENTIALS';
}

/** Where credentials come from. */
export interface UpstreamCredentialsInit extends FollowFilesInit {
  /** A `config.json`. Default: none. */
  readonly file?: string | undefined;
  /** registries.yaml, which may change. Default: none. */
  readonly registries?: CurrentRegistries | undefined;
}

/** Repositories for which this node has credentials. */
export interface CredentialedRepositories {
  /** Canonical, a pattern of hosts, or `*` for every registry. */
  readonly registry: string;
  /** The beginning of their names; empty for all. */
  readonly path: string;
}

/**
 * The credentials of this node for registries: of registries.yaml, else of a `config.json`, which are read again when they
 * change. A changed file that cannot be used is reported, and what was read before stays in use.
 *
 * A registry without credentials at the start gets none later: how its images are shared was decided without them.
 */
export class UpstreamCredentials {
  readonly #init: UpstreamCredentialsInit;
  readonly #logger: Logger;
  readonly #listeners: (() => void)[] = [];
  readonly #known: ReadonlySet<string>;
  /** As of the start. */
  readonly repositories: readonly CredentialedRepositories[];
  #config: DockerConfig;
  #text: string;

  private constructor(
    init: UpstreamCredentialsInit,
    logger: Logger,
    { text, config }: { readonly text: string; readonly config: DockerConfig },
  ) {
    this.#init = init;
    this.#logger = logger;
    this.#text = text;
    this.#config = config;
    this.#known = new Set(config.auths.map(placeOf));
    this.repositories = repositoriesOf(config, init.registries?.current);
    this.#nameUnused();
  }

  /** @throws UpstreamCredentialsError for a file that cannot be used */
  static async load(init: UpstreamCredentialsInit, logger: Logger): Promise<UpstreamCredentials> {
    const read = init.file === undefined ? { text: '', config: NONE } : await readConfig(init.file);
    return new UpstreamCredentials(init, logger, read);
  }

  /** What an endpoint is shown for a repository, as it is called there. */
  of(
    { host, registry }: Pick<UpstreamEndpoint, 'host' | 'registry'>,
    repository: string,
  ): Credential | undefined {
    if (!this.#isCovered(registry, repository)) return undefined;
    const registries = this.#init.registries?.current;
    const auth = registries && configOf(registries, host).auth;
    return (auth && ofRegistries(auth)) ?? authFor(this.#config, host, repository);
  }

  /** Whether images of the repository are shared as ones that may have been fetched with credentials. */
  #isCovered(registry: string, repository: string): boolean {
    return this.repositories.some(
      (it) =>
        (it.registry === '*' || matchesHost(it.registry, registry)) &&
        (it.path === '' || repository === it.path || repository.startsWith(`${it.path}/`)),
    );
  }

  /** Calls the listener after each change. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
    this.#init.registries?.onChange?.(listener);
  }

  /** Reads the file periodically, until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { file } = this.#init;
    if (file === undefined) return;
    const refused = ({ message }: Error): void => {
      this.#logger.error(`changed credentials of registries not used: ${message}`);
    };
    await followFiles({ takeOver: () => this.#takeOver(file), refused }, this.#init, signal);
  }

  async #takeOver(file: string): Promise<UpstreamCredentialsError | undefined> {
    try {
      const { text, config } = await readConfig(file);
      if (text === this.#text) return undefined;
      this.#text = text;
      const auths = config.auths.filter((auth) => this.#known.has(placeOf(auth)));
      this.#config = { ...config, auths };
      const later = config.auths.filter((auth) => !this.#known.has(placeOf(auth)));
      this.#logger.info({ file }, 'credentials of registries changed');
      if (later.length > 0) {
        const registries = later.slice(0, 16).map(({ host }) => host);
        this.#logger.warn(
          { file, registries },
          'these registries had no credentials when the agent started: theirs are used after a restart',
        );
      }
      for (const listener of this.#listeners) listener();
      return undefined;
    } catch (error) {
      if (error instanceof UpstreamCredentialsError) return error;
      throw error;
    }
  }

  #nameUnused(): void {
    for (const helper of this.#config.helpers.slice(0, 16)) {
      this.#logger.warn(
        { file: this.#init.file, helper },
        'credentials of this program are not used: the agent runs no programs',
      );
    }
    for (const pattern of this.#config.tooWide.slice(0, 16)) {
      this.#logger.warn(
        { file: this.#init.file, pattern },
        'credentials of this pattern are not used: hosts of other owners match it. Name the domain, as in *.registry.example',
      );
    }
  }
}

/** Repositories that may be fetched with credentials. */
function repositoriesOf(
  { auths }: DockerConfig,
  registries: Registries | undefined,
): CredentialedRepositories[] {
  const found = auths.map(({ host, path }) => ({ registry: host, path }));
  for (const [host, { auth }] of registries?.configs ?? []) {
    // Those of `*` would be shown to any host, and are not used.
    if (auth !== undefined && host !== '*')
      found.push({ registry: canonicalRegistry(host), path: '' });
  }
  const hosts = found.map(({ registry }) => registry);
  for (const [registry, { endpoints }] of registries?.mirrors ?? []) {
    const has = endpoints.some(({ host }) =>
      hosts.some((it) => matchesHost(it, canonicalRegistry(host))),
    );
    if (has) found.push({ registry, path: '' });
  }
  return found;
}

function placeOf({ host, path }: { readonly host: string; readonly path: string }): string {
  return `${host}/${path}`;
}

function ofRegistries({
  username,
  password,
  auth,
  identityToken,
}: RegistryAuth): Credential | undefined {
  if (identityToken !== undefined) {
    return { identityToken, ...(username && { username }), ...(password && { password }) };
  }
  if (username !== undefined && password !== undefined) return { username, password };
  const both = Buffer.from(auth?.reveal() ?? '', 'base64').toString();
  const colon = both.indexOf(':');
  if (colon < 0) return undefined;
  return {
    username: new Secret(both.slice(0, colon)),
    password: new Secret(both.slice(colon + 1).replace(/\0+$/, '')),
  };
}

async function readConfig(file: string): Promise<{ text: string; config: DockerConfig }> {
  const failed = (why: string): UpstreamCredentialsError =>
    new UpstreamCredentialsError(`--upstream-credentials ${file}: ${why}`);
  let text: string;
  try {
    await using handle = await open(file);
    const buffer = Buffer.alloc(MAX_BYTES + 1);
    const { bytesRead } = await handle.read(buffer, 0, buffer.length, 0);
    if (bytesRead > MAX_BYTES)
      throw failed('it is larger than 1 MiB; name a config.json of Docker');
    text = buffer.toString('utf8', 0, bytesRead);
  } catch (error) {
    if (error instanceof UpstreamCredentialsError) throw error;
    throw failed(
      `it cannot be read (${codeOf(error) ?? 'unknown'}); mount the secret or correct the path`,
    );
  }
  try {
    return { text, config: parseDockerConfig(text) };
  } catch (error) {
    throw failed(
      `${error instanceof Error ? error.message : 'unreadable'}; it must be a config.json of Docker`,
    );
  }
}
