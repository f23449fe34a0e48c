import type { ContentRequest } from './content-request.ts';
import { isNodeLocalRegistry } from './node-local-registry.ts';
import { canonicalRegistry } from './reference.ts';

/** Why content is not served that the options leave out. */
export const LEFT_OUT = 'left out by the configuration of this mirror';

/** Options of a {@link SharePolicy}. */
export interface SharePolicyInit {
  /** Registries that are mirrored, as in image names. Default: empty, which means all. */
  readonly registries?: readonly string[];
  /**
   * A match on `registry/repository` or `registry/repository:tag`, with a canonical registry, leaves the image out.
   * Default: none.
   */
  readonly filters?: readonly RegExp[];
  /** Whether the tag `latest` is shared. Default: false, because it moves, and nodes would resolve it differently. */
  readonly latest?: boolean;
}

/**
 * Decides which content is shared. The same decision holds for what is advertised and what is served.
 *
 * A filter that matches only with the tag (`:dev$`) leaves out the tag and not the content. By digest the content is
 * shared, as with Spegel and k3s. The same holds for the tags of a registry on the node itself (`localhost:5000`): the
 * name means another registry on each node, while a digest means the same everywhere.
 */
export class SharePolicy {
  readonly #registries: ReadonlySet<string>;
  readonly #filters: readonly RegExp[];
  readonly #latest: boolean;

  constructor(init: SharePolicyInit = {}) {
    this.#registries = new Set((init.registries ?? []).map(canonicalRegistry));
    this.#filters = init.filters ?? [];
    this.#latest = init.latest ?? false;
  }

  /** Whether the content of this repository is shared, by digest. */
  sharesContent(registry: string, repository: string): boolean {
    if (this.#registries.size > 0 && !this.#registries.has(registry)) return false;
    const name = registry === '' ? repository : `${registry}/${repository}`;
    return !this.#matches(name);
  }

  /** Whether this tag is shared. No option shares the tags of a registry on the node itself. */
  sharesTag(registry: string, repository: string, tag: string): boolean {
    if (isNodeLocalRegistry(registry)) return false;
    if (tag === 'latest' && !this.#latest) return false;
    if (!this.sharesContent(registry, repository)) return false;
    return !this.#matches(`${registry}/${repository}:${tag}`);
  }

  /** Why a request is left to the registry; `undefined` when what it asks for is shared. */
  refusal({
    registry,
    repository,
    tag,
  }: Pick<ContentRequest, 'registry' | 'repository' | 'tag'>): string | undefined {
    if (tag === undefined) return this.sharesContent(registry, repository) ? undefined : LEFT_OUT;
    if (this.sharesTag(registry, repository, tag)) return undefined;
    return isNodeLocalRegistry(registry)
      ? 'tags of a registry on the node itself are not shared'
      : LEFT_OUT;
  }

  #matches(name: string): boolean {
    return this.#filters.some((filter) => filter.test(name));
  }
}
