import { Secret } from '../../hosts/registries/secret.ts';
import { isHostPattern, matchesHost } from '../../oci/host-pattern.ts';
import { canonicalRegistry } from '../../oci/reference.ts';
import { isShared } from '../auth/realm.ts';

/** What a client shows to a registry. */
export interface Credential {
  readonly username?: Secret;
  readonly password?: Secret;
  /** A refresh token, which the token server takes instead of a password. */
  readonly identityToken?: Secret;
  /** A token that the registry itself takes. */
  readonly registryToken?: Secret;
}

/** The credentials of one entry of `auths`. */
interface DockerAuth {
  /** Host with port, canonical, or a pattern of hosts. */
  readonly host: string;
  /** The beginning of the repositories that they are for; empty for all. */
  readonly path: string;
  readonly credential: Credential;
}

/** A `config.json` of Docker, as far as it can be used. */
export interface DockerConfig {
  readonly auths: readonly DockerAuth[];
  /** Entries that name a program, which this agent does not run. */
  readonly helpers: readonly string[];
  /** Patterns that hosts of others match, which would get the credentials. They are left out. */
  readonly tooWide: readonly string[];
}

/** Entries that are read. */
const MAX_ENTRIES = 1_000;

/**
 * Parses a `config.json`, the content of a secret of the type `kubernetes.io/dockerconfigjson`. Keys are hosts, with or
 * without a scheme, a version and a path; `https://index.docker.io/v1/` is Docker Hub. As for the kubelet, a host may be a
 * pattern (`*.registry.example`), here within one domain only.
 *
 * @throws Error, without the text, which has secrets
 */
export function parseDockerConfig(text: string): DockerConfig {
  let json: unknown;
  try {
    json = JSON.parse(text.replace(/^\ufeff/, ''));
  } catch {
    throw new Error('it is no JSON');
  }
  const config = objectOf(json);
  if (config === undefined) throw new Error('it is no JSON object');
  const auths = Object.entries(objectOf(config['auths']) ?? {})
    .slice(0, MAX_ENTRIES)
    .flatMap(([key, value]) => {
      const credential = credentialOf(objectOf(value) ?? {});
      return credential === undefined ? [] : [{ ...placeOf(key), credential }];
    });
  const isTooWide = ({ host }: DockerAuth): boolean => isHostPattern(host) && !isOfOneDomain(host);
  const tooWide = auths.filter(isTooWide).map(({ host }) => host);
  const store = textOf(config['credsStore']);
  const helpers = Object.keys(objectOf(config['credHelpers']) ?? {}).map(
    (it) => `credHelpers: ${it}`,
  );
  return {
    auths: auths.filter((it) => !isTooWide(it)),
    helpers: store === undefined ? helpers : [`credsStore: ${store}`, ...helpers],
    tooWide,
  };
}

/**
 * The entry for a repository: of those that match, one of the host itself before those of patterns, then the one with the
 * longest path, then with the longest pattern.
 */
export function authFor(
  { auths }: DockerConfig,
  host: string,
  repository: string,
): Credential | undefined {
  const wanted = canonicalHost(host);
  let best: DockerAuth | undefined;
  for (const auth of auths) {
    if (!matchesHost(auth.host, wanted)) continue;
    const { path } = auth;
    if (path !== '' && repository !== path && !repository.startsWith(`${path}/`)) continue;
    if (best === undefined || isCloser(auth, best)) best = auth;
  }
  return best?.credential;
}

function isCloser(one: DockerAuth, other: DockerAuth): boolean {
  const [isPattern, wasPattern] = [isHostPattern(one.host), isHostPattern(other.host)];
  if (isPattern !== wasPattern) return wasPattern;
  if (one.path.length !== other.path.length) return one.path.length > other.path.length;
  return one.host.length > other.host.length;
}

/** Whether all hosts of the pattern are below one domain that has one owner. */
function isOfOneDomain(pattern: string): boolean {
  const labels = (pattern.split(':')[0] ?? '').split('.');
  const last = labels.findLastIndex(isHostPattern);
  return !isShared(labels.slice(last + 1).join('.'));
}

function placeOf(key: string): Pick<DockerAuth, 'host' | 'path'> {
  const [host = '', ...path] = key
    .trim()
    .replace(/^https?:\/\//i, '')
    .split('/');
  const below = path.join('/').replace(/\/+$/, '');
  return { host: canonicalHost(host), path: /^v[12]$/.test(below) ? '' : below };
}

function canonicalHost(host: string): string {
  return canonicalRegistry(host.replace(/:443$/, ''));
}

function credentialOf(entry: Readonly<Record<string, unknown>>): Credential | undefined {
  const both = Buffer.from(textOf(entry['auth']) ?? '', 'base64').toString();
  const colon = both.indexOf(':');
  const username = textOf(entry['username']) ?? (colon > 0 ? both.slice(0, colon) : undefined);
  // Docker pads what it encodes with zero bytes.
  const password =
    textOf(entry['password']) ??
    (colon > 0 ? both.slice(colon + 1).replace(/\0+$/, '') : undefined);
  const identity = textOf(entry['identitytoken']);
  const registry = textOf(entry['registrytoken']);
  const credential: Credential = {
    ...(username !== undefined && { username: new Secret(username) }),
    ...(password !== undefined && password !== '' && { password: new Secret(password) }),
    ...(identity !== undefined && { identityToken: new Secret(identity) }),
    ...(registry !== undefined && { registryToken: new Secret(registry) }),
  };
  const { identityToken, registryToken } = credential;
  const isUsable = credential.username !== undefined && credential.password !== undefined;
  return isUsable || identityToken !== undefined || registryToken !== undefined
    ? credential
    : undefined;
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined;
}
