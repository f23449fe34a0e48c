import { canonicalRegistry } from './reference.ts';

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
 * shared, as with Spegel and k3s.
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

  /** Whether this tag is shared. */
  sharesTag(registry: string, repository: string, tag: string): boolean {
    if (tag === 'latest' && !this.#latest) return false;
    if (!this.sharesContent(registry, repository)) return false;
    return !this.#matches(`${registry}/${repository}:${tag}`);
  }

  #matches(name: string): boolean {
    return this.#filters.some((filter) => filter.test(name));
  }
}
