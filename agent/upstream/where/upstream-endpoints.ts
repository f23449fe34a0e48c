import { isNodeLocalRegistry } from '../../oci/node-local-registry.ts';
import {
  configOf,
  DOCKER_HUB_HOST,
  type Registries,
  type RegistryTls,
} from '../../hosts/registries/registries.ts';
import type { CurrentRegistries } from './followed-registries.ts';
import { compileRewrites } from './rewrite-repository.ts';

/** The name of Docker Hub in images. */
const DOCKER_HUB = 'docker.io';

/** A host that is asked for images of a registry. */
export interface UpstreamEndpoint {
  /** The registry as in image names. */
  readonly registry: string;
  /** Where its API is: `https://registry-1.docker.io/v2`, without a slash at the end. */
  readonly base: URL;
  /** Under which its credentials are found: host and port, or `docker.io`. */
  readonly host: string;
  /** Whether it is another host than the registry, which needs to learn the registry (`ns`), as of containerd. */
  readonly isMirror: boolean;
  readonly tls: RegistryTls | undefined;
  /** The repository as it is called there. */
  readonly repositoryOf: (repository: string) => string;
}

/** A registry of `--upstream`. */
export interface UpstreamName {
  readonly registry: string;
  /** Its URL. Default: by https. */
  readonly server?: string;
}

/** What {@link UpstreamEndpoints} are made of. */
export interface UpstreamEndpointsInit {
  /** The registries of `--upstream`; `undefined` in it means every registry that is not on the node itself. */
  readonly names: readonly (UpstreamName | undefined)[];
  /** registries.yaml, which may change. Default: there is none. */
  readonly registries?: CurrentRegistries | undefined;
  /** Whether the registries themselves are asked after the endpoints of that file. Default: yes. */
  readonly defaultEndpoint?: boolean;
  /** Whether a URL leads to the mirror of this node, which is no upstream. Default: none does. */
  readonly isOwn?: (url: URL) => boolean;
}

/** Where images of each registry are fetched from: the endpoints of registries.yaml in their order, then the registry. */
export class UpstreamEndpoints {
  readonly #init: UpstreamEndpointsInit;
  readonly #named: ReadonlyMap<string, UpstreamName>;
  readonly #isAll: boolean;

  constructor(init: UpstreamEndpointsInit) {
    this.#init = init;
    const named = init.names.filter((it) => it !== undefined);
    this.#named = new Map(named.map((it) => [it.registry, it]));
    this.#isAll = init.names.includes(undefined);
  }

  /** Whether this node fetches from the registry. A registry on the node itself has to be named. */
  covers(registry: string): boolean {
    if (registry === '') return false;
    return this.#named.has(registry) || (this.#isAll && !isNodeLocalRegistry(registry));
  }

  /** The hosts to ask, in their order; none for a registry that is not covered. */
  of(registry: string): readonly UpstreamEndpoint[] {
    if (!this.covers(registry)) return [];
    const { defaultEndpoint = true, isOwn } = this.#init;
    const registries = this.#registries;
    const mirror = registries?.mirrors.get(registry) ?? registries?.mirrors.get('*');
    const own = this.#registryItself(registry);
    const { apply } = compileRewrites(mirror?.rewrites ?? []);
    const mirrors = (mirror?.endpoints ?? [])
      .map(({ url, host, overridesPath }): UpstreamEndpoint => {
        const base = new URL(overridesPath ? url.replace(/\/+$/, '') : `${url}/v2`);
        return {
          ...{ registry, base, host, isMirror: base.host !== own.base.host },
          tls: this.#tlsOf(host),
          repositoryOf: (repository) => apply(withLibrary(registry, repository)),
        };
      })
      .filter(({ base }) => isOwn?.(base) !== true);
    if (mirror !== undefined && !defaultEndpoint) return mirrors;
    const isNamed = mirrors.some(
      ({ base, repositoryOf }) => base.href === own.base.href && repositoryOf('a') === 'a',
    );
    return isNamed && (mirror?.rewrites.length ?? 0) === 0 ? mirrors : [...mirrors, own];
  }

  /** Patterns of registries.yaml that cannot be used here. */
  get unusableRewrites(): readonly string[] {
    const mirrors = [...(this.#registries?.mirrors.values() ?? [])];
    return mirrors.flatMap(({ rewrites }) => compileRewrites(rewrites).unusable);
  }

  get #registries(): Registries | undefined {
    return this.#init.registries?.current;
  }

  #registryItself(registry: string): UpstreamEndpoint {
    const host = registry === DOCKER_HUB ? DOCKER_HUB_HOST : registry;
    const server = this.#named.get(registry)?.server ?? `https://${host}`;
    return {
      ...{ registry, base: new URL(`${server}/v2`), host: registry, isMirror: false },
      tls: this.#tlsOf(registry) ?? this.#tlsOfAll(registry),
      repositoryOf: (repository) => withLibrary(registry, repository),
    };
  }

  /** The entry `*` of `configs`, which hosts.toml has for registries that have no folder. It is for no endpoint. */
  #tlsOfAll(registry: string): RegistryTls | undefined {
    const { mirrors, configs } = this.#registries ?? {};
    return mirrors?.has(registry) === true ? undefined : configs?.get('*')?.tls;
  }

  #tlsOf(host: string): RegistryTls | undefined {
    const registries = this.#registries;
    return registries && configOf(registries, host).tls;
  }
}

/** The official images of Docker Hub have a repository below `library`, which other clients than containerd may leave out. */
function withLibrary(registry: string, repository: string): string {
  return registry === DOCKER_HUB && !repository.includes('/')
    ? `library/${repository}`
    : repository;
}
