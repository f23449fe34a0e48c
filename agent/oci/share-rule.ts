import { canonicalRegistry } from './reference.ts';

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
  /** Canonical, or `*`. */
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
  if (!MODES.includes(mode) || !PATTERN.test(pattern)) {
    throw new Error(
      `"${text}" is no rule; write REGISTRY=MODE or REGISTRY/REPOSITORY=MODE, with one of ${MODES.join(', ')}`,
    );
  }
  const [registry = '', ...path] = pattern.split('/');
  return {
    text,
    mode: mode as ShareMode,
    registry: registry === '*' ? registry : canonicalRegistry(registry),
    path,
  };
}

/** Whether the rule is about the repository. */
export function matchesRule(rule: ShareRule, registry: string, repository: string): boolean {
  if (rule.registry !== '*' && rule.registry !== registry) return false;
  const parts = repository.split('/');
  return rule.path.every((part, at) => part === parts[at] || (part === '*' && at < parts.length));
}
