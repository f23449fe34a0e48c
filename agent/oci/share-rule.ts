import { matchesHost } from './host-pattern.ts';
import { canonicalRegistry, isRegistry, looksLikeRegistry } from './reference.ts';

/**
 * - `all`: tags and content are shared.
 * - `authorized`: content is shared by digest only. What a name means, and whether the pod may have it, is asked of the
 *   registry with the pod's own credentials.
 * - `auto`: as `all` for images that were imported on a node of the cluster, and as `authorized` for pulled ones.
 * - `none`: nothing is shared.
 */
export type ShareMode = 'all' | 'authorized' | 'auto' | 'none';

const MODES: readonly string[] = ['all', 'authorized', 'auto', 'none'] satisfies ShareMode[];
/** A registry, and repositories below it; any of the parts may be `*`. */
const PATTERN = /^(?:\*|[A-Za-z0-9.[\]:-]+)(?:\/(?:\*|[a-z0-9._-]+))*$/;

/** How images are shared whose names match. */
export interface ShareRule {
  /** As it was written. */
  readonly text: string;
  readonly mode: ShareMode;
  /** Canonical, or `*`. Of rules that no one has written it may be a pattern of hosts. */
  readonly registry: string;
  /** Parts of the repository, from its beginning. */
  readonly path: readonly string[];
}

/**
 * Parses `PATTERN=MODE`. A pattern is a registry (`ghcr.io`), a repository with all below it (`ghcr.io/team`), or either
 * with `*` for one part (`ghcr.io/*`, `*`).
 *
 * @throws Error that says what to write instead
 */
export function parseShareRule(text: string): ShareRule {
  const [, pattern = '', mode = ''] = /^(.*)=([a-z]*)$/.exec(text) ?? [];
  const [registry = '', ...path] = pattern.split('/');
  const isWellFormed = PATTERN.test(pattern) && (registry === '*' || isRegistry(registry));
  if (!MODES.includes(mode) || !isWellFormed) {
    throw new Error(
      `"${text}" is no rule; write REGISTRY=MODE or REGISTRY/REPOSITORY=MODE, with one of ${MODES.join(', ')}`,
    );
  }
  if (registry !== '*' && !looksLikeRegistry(registry)) throw withoutRegistry(text, registry, path);
  return {
    text,
    mode: mode as ShareMode,
    registry: registry === '*' ? registry : canonicalRegistry(registry),
    path,
  };
}

/** For a name as `docker pull` takes it, which would match no image: containerd has names with their registry. */
function withoutRegistry(text: string, first: string, path: readonly string[]): Error {
  const official = path.length === 0 ? `, docker.io/library/${text} for an official image` : '';
  return new Error(
    `"${text}" is no rule: "${first}" is no registry; write docker.io/${text} for Docker Hub${official}, or */${text} for each registry`,
  );
}

/** Whether the rule is about the repository. */
export function matchesRule(rule: ShareRule, registry: string, repository: string): boolean {
  if (rule.registry !== '*' && !matchesHost(rule.registry, registry)) return false;
  const parts = repository.split('/');
  return rule.path.every((part, at) => part === parts[at] || (part === '*' && at < parts.length));
}
