import type { ContentRequest } from './content-request.ts';
import { isNodeLocalRegistry } from './node-local-registry.ts';
import { canonicalRegistry } from './reference.ts';
import { matchesRule, type ShareMode, type ShareRule } from './share-rule.ts';

/** Why content is not served that the options leave out. */
export const LEFT_OUT = 'left out by the configuration of this mirror';
/** Why no tag is resolved. */
const TAGS_AT_REGISTRY = 'tags are resolved at the registry (--resolve-tags=false)';
/** Why names of images are not resolved that are shared by digest only. */
const AT_REGISTRY = 'resolved at the registry, which checks who may have it (--share)';

/** Options of a {@link SharePolicy}. */
export interface SharePolicyInit {
  /** Registries that are mirrored, as in image names. Default: empty, which means all. */
  readonly registries?: readonly string[];
  /**
   * A match on `registry/repository` or `registry/repository:tag`, with a canonical registry, leaves the image out.
   * Default: none.
   */
  readonly filters?: readonly RegExp[];
  /** Whether tags are shared. Default: true. When false, content is shared by digest only. */
  readonly tags?: boolean;
  /** Whether the tag `latest` is shared. Default: false, because it moves, and nodes would resolve it differently. */
  readonly latest?: boolean;
  /** How images are shared by their names: the first rule that matches counts. Default: none, which means all. */
  readonly rules?: readonly ShareRule[];
  /** Names for which this node has credentials at the registry, whatever the mode of these rules. Default: none. */
  readonly withCredentials?: readonly ShareRule[];
}

/** What a request asks for, and who asks. */
export interface SharedRequest
  extends
    Pick<ContentRequest, 'registry' | 'repository' | 'tag'>,
    Partial<Pick<ContentRequest, 'method'>> {
  readonly fromPeer?: boolean;
  /** Whether a node has imported the image. It counts with `auto` only. Default: no. */
  readonly isImported?: boolean;
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
  readonly #tags: boolean;
  readonly #latest: boolean;
  readonly #rules: readonly ShareRule[];
  readonly #withCredentials: readonly ShareRule[];

  constructor(init: SharePolicyInit = {}) {
    this.#registries = new Set((init.registries ?? []).map(canonicalRegistry));
    this.#filters = init.filters ?? [];
    this.#tags = init.tags ?? true;
    this.#latest = init.latest ?? false;
    this.#rules = init.rules ?? [];
    this.#withCredentials = init.withCredentials ?? [];
  }

  /** Whether the content of this repository is shared, by digest. */
  sharesContent(registry: string, repository: string): boolean {
    if (this.#registries.size > 0 && !this.#registries.has(registry)) return false;
    if (this.#mode(registry, repository) === 'none') return false;
    const name = registry === '' ? repository : `${registry}/${repository}`;
    return !this.#matches(name);
  }

  /** Whether people who look at the agent may read the name: not when `--share` has it kept from nodes, or checked. */
  showsName(registry: string, repository: string): boolean {
    return this.#mode(registry, repository) === 'all' && this.sharesContent(registry, repository);
  }

  /** Whether content of this repository is shared, its names only where an image was imported (`auto`). */
  dependsOnOrigin(registry: string, repository: string): boolean {
    return this.#mode(registry, repository) === 'auto' && this.sharesContent(registry, repository);
  }

  /**
   * Whether this node would fetch what a name means with credentials of its own: it must not, where the registry decides
   * who may have a pulled image (`auto`).
   */
  lendsCredentials(request: SharedRequest): boolean {
    const { registry, repository } = request;
    if (!this.asksOrigin(request)) return false;
    return this.#withCredentials.some((rule) => matchesRule(rule, registry, repository));
  }

  /**
   * Whether this node may ask the registry what the tag of the request means, for a client: not where the registry decides
   * who may have the image, by `authorized` or because this node would show credentials of its own.
   */
  asksRegistry(request: SharedRequest): boolean {
    const { registry, repository } = request;
    if (this.#mode(registry, repository) === 'authorized') return false;
    return this.sharesContent(registry, repository) && !this.lendsCredentials(request);
  }

  /** Whether it depends on the origin of an image who answers the request. */
  asksOrigin(request: SharedRequest): boolean {
    return resolves(request) && this.dependsOnOrigin(request.registry, request.repository);
  }

  /**
   * Whether this tag is shared. No option shares the tags of a registry on the node itself.
   *
   * @param isImported see {@link SharedRequest}
   */
  sharesTag(registry: string, repository: string, tag: string, isImported = false): boolean {
    return (
      !this.#isAuthorized({ registry, repository, isImported }) &&
      this.#allowsTag(registry, repository, tag)
    );
  }

  /** Whether the registry decides who may have the image. */
  #isAuthorized({
    registry,
    repository,
    isImported = false,
  }: Pick<SharedRequest, 'registry' | 'repository' | 'isImported'>): boolean {
    const mode = this.#mode(registry, repository);
    return mode === 'authorized' || (mode === 'auto' && !isImported);
  }

  #allowsTag(registry: string, repository: string, tag: string): boolean {
    if (!this.#tags || isNodeLocalRegistry(registry)) return false;
    if (tag === 'latest' && !this.#latest) return false;
    if (!this.sharesContent(registry, repository)) return false;
    return !this.#matches(`${registry}/${repository}:${tag}`);
  }

  /** Why a request is left to the registry; `undefined` when what it asks for is shared. */
  refusal(request: SharedRequest): string | undefined {
    const { registry, repository, tag, isImported } = request;
    if (this.#isAuthorized(request) && resolves(request)) return AT_REGISTRY;
    if (tag === undefined) return this.sharesContent(registry, repository) ? undefined : LEFT_OUT;
    if (this.sharesTag(registry, repository, tag, isImported)) return undefined;
    if (!this.#tags) return TAGS_AT_REGISTRY;
    return isNodeLocalRegistry(registry)
      ? 'tags of a registry on the node itself are not shared'
      : LEFT_OUT;
  }

  /**
   * Whether the request asks what a name means of which the registry decides who may have it (`authorized`, `auto`), and
   * no other option leaves the content out.
   */
  isForRegistry(request: SharedRequest): boolean {
    const { registry, repository, tag } = request;
    if (!this.#isAuthorized(request) || !resolves(request)) return false;
    return tag === undefined
      ? this.sharesContent(registry, repository)
      : this.#allowsTag(registry, repository, tag);
  }

  #mode(registry: string, repository: string): ShareMode {
    return this.#rules.find((rule) => matchesRule(rule, registry, repository))?.mode ?? 'all';
  }

  #matches(name: string): boolean {
    return this.#filters.some((filter) => filter.test(name));
  }
}

/**
 * Whether the request is by which containerd learns what a name means: for a tag, or a HEAD by digest. When that is not
 * answered, containerd asks the registry, with the credentials of the pod, and fetches by GET then. After a 404 for a
 * manifest by digest it asks each host for a blob of that digest too.
 */
function resolves({ method, tag, fromPeer = false }: SharedRequest): boolean {
  return tag !== undefined || (method === 'HEAD' && !fromPeer);
}
