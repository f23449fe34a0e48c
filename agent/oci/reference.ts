import { parseDigest, type Digest } from './digest.ts';

/**
 * An image name taken apart: `registry/repository[:tag][@digest]`.
 *
 * @see OCI distribution specification, "Pulling manifests", for the grammar of repositories and tags
 */
export interface Reference {
  /** Host with optional port in canonical form: `docker.io`, `10.0.0.9:5000`, `[fd00::1]:5000`. */
  readonly registry: string;
  /** Path below the registry: `library/alpine`. */
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: Digest;
}

/** Longest `registry/repository` that containerd and Docker accept. */
const MAX_NAME_LENGTH = 255;

const REPOSITORY =
  /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;
const REGISTRY =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[a-fA-F0-9:]+\])(?::[0-9]{1,5})?$/;

/** Whether `text` is a well-formed repository name. */
export function isRepository(text: string): boolean {
  return text.length <= MAX_NAME_LENGTH && REPOSITORY.test(text);
}

/** Whether `text` is a well-formed tag. */
export function isTag(text: string): boolean {
  return TAG.test(text);
}

/** Whether `text` can be the host part of an image name. */
export function isRegistry(text: string): boolean {
  return text.length <= MAX_NAME_LENGTH && REGISTRY.test(text);
}

/**
 * Whether the first component of a path names a registry rather than a repository: only a host has a dot, a port, capital
 * letters, or the name `localhost`. `docker pull` uses the same rule to distinguish `alpine/git` from `quay.io/git`.
 *
 * @see distribution/reference, splitDockerDomain
 */
export function looksLikeRegistry(component: string): boolean {
  return component === 'localhost' || /[.:A-Z]/.test(component);
}

/**
 * Parses a fully qualified image name, as containerd's image records have it. The registry of the result is in canonical
 * form, which the name itself need not have.
 *
 * @returns `undefined` for a name without registry or otherwise not well-formed
 */
export function parseReference(name: string): Reference | undefined {
  const slash = name.indexOf('/');
  if (slash < 0 || name.length > 2 * MAX_NAME_LENGTH) return undefined;
  const registry = name.slice(0, slash);
  if (!looksLikeRegistry(registry) || !isRegistry(registry)) return undefined;

  let rest = name.slice(slash + 1);
  let digest: Digest | undefined;
  const at = rest.indexOf('@');
  if (at >= 0) {
    digest = parseDigest(rest.slice(at + 1));
    if (digest === undefined) return undefined;
    rest = rest.slice(0, at);
  }

  let tag: string | undefined;
  const colon = rest.lastIndexOf(':');
  if (colon >= 0) {
    tag = rest.slice(colon + 1);
    if (!isTag(tag)) return undefined;
    rest = rest.slice(0, colon);
  }

  if (!isRepository(rest)) return undefined;
  return {
    registry: canonicalRegistry(registry),
    repository: rest,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** Host names of Docker Hub's registry. Image names use `docker.io`. */
const DOCKER_HUB_HOSTS: ReadonlySet<string> = new Set(['registry-1.docker.io', 'index.docker.io']);

/** A registry as image names have it: in lower case, and with one name for Docker Hub. */
export function canonicalRegistry(host: string): string {
  const lower = host.toLowerCase();
  return DOCKER_HUB_HOSTS.has(lower) ? 'docker.io' : lower;
}

/** The name with its registry in canonical form. A digest, or another text without a registry, stays as it is. */
export function canonicalName(name: string): string {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(0, slash));
  const isHost = looksLikeRegistry(first) && isRegistry(first);
  return isHost ? canonicalRegistry(first) + name.slice(slash) : name;
}

/**
 * The full name of a tag. With a canonical registry it is the key of the tag in the DHT, and mostly the name of its image
 * record: that has the registry as it was written.
 */
export function tagName(registry: string, repository: string, tag: string): string {
  return `${registry}/${repository}:${tag}`;
}

/** The full name of content of a repository by its digest. It is the key of an imported image in the DHT, beside its tag. */
export function pinnedName(registry: string, repository: string, digest: Digest): string {
  return `${registry}/${repository}@${digest}`;
}
