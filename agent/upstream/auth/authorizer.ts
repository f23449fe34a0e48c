import { LRUCache } from 'lru-cache';

import { canonicalRegistry } from '../../oci/reference.ts';
import { JoinedCalls } from '../../timing/joined-calls.ts';
import { UpstreamError } from '../upstream-error.ts';
import type { Credential } from '../where/docker-config.ts';
import type { UpstreamEndpoint } from '../where/upstream-endpoints.ts';
import type { Challenge } from './challenge.ts';
import { isOfRegistry, realmOf } from './realm.ts';
import { basicOf, type TokenClient } from './token-client.ts';

/** Repositories whose authorization is kept. */
const MAX_ENTRIES = 1_000;
/** A token is used for this part of its life. */
const USED_LIFE = 0.9;

/** What an {@link Authorizer} uses. */
export interface AuthorizerComponents {
  readonly tokens: Pick<TokenClient, 'fetch'>;
  readonly credentials: {
    of(endpoint: UpstreamEndpoint, repository: string): Credential | undefined;
  };
  /** Token servers that get the credentials of a registry although they are in another domain. Default: none. */
  readonly tokenServers?: readonly TokenServer[] | undefined;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
}

/** A token server of the options. */
export interface TokenServer {
  /** Under which the credentials of the endpoint are found, canonical. */
  readonly registry: string;
  /** With its port, unless that is the one of the scheme. */
  readonly host: string;
}

/** A request that was answered with 401. */
export interface Refusal {
  readonly challenges: readonly Challenge[];
  /** The authorization that it had. */
  readonly refused: string | undefined;
}

interface Authorization {
  readonly header: string;
  readonly until: number;
}

/**
 * Gets what a registry wants to see before it gives content: a token, anonymous or for the credentials of this node, or the
 * credentials themselves. It is kept by endpoint and repository. All requests that need the same one wait for one question.
 */
export class Authorizer {
  readonly #components: AuthorizerComponents;
  readonly #now: () => number;
  readonly #kept = new LRUCache<string, Authorization>({ max: MAX_ENTRIES });
  readonly #calls = new JoinedCalls<string>();

  constructor(components: AuthorizerComponents) {
    this.#components = components;
    this.#now = components.now ?? (() => performance.now());
  }

  /** The header `Authorization` for a repository; undefined when none is known that still holds. */
  header(endpoint: UpstreamEndpoint, repository: string): string | undefined {
    const kept = this.#kept.get(keyOf(endpoint, repository));
    return kept !== undefined && kept.until > this.#now() ? kept.header : undefined;
  }

  /** Forgets everything: the credentials have changed. */
  forget(): void {
    this.#kept.clear();
  }

  /**
   * Answers a challenge.
   *
   * @returns the header for the next try, which differs from the one that was refused
   * @throws UpstreamError `denied` when there is nothing that could be shown; as {@link TokenClient.fetch}
   */
  async answer(
    endpoint: UpstreamEndpoint,
    repository: string,
    refusal: Refusal,
    signal: AbortSignal,
  ): Promise<string> {
    const key = keyOf(endpoint, repository);
    const known = this.header(endpoint, repository);
    // Another request has got a new one meanwhile.
    if (known !== undefined && known !== refusal.refused) return known;
    this.#kept.delete(key);
    return await this.#calls.join(
      key,
      async (abort) => {
        const { header, until } = await this.#get(endpoint, repository, refusal, abort);
        if (header === refusal.refused) throw nothingToShow(endpoint, true);
        this.#kept.set(key, { header, until });
        return header;
      },
      signal,
    );
  }

  async #get(
    endpoint: UpstreamEndpoint,
    repository: string,
    { challenges }: Refusal,
    signal: AbortSignal,
  ): Promise<Authorization> {
    const credential = this.#components.credentials.of(endpoint, repository);
    if (credential?.registryToken !== undefined) {
      return { header: `Bearer ${credential.registryToken.reveal()}`, until: Infinity };
    }
    for (const { scheme, parameters } of challenges) {
      const realm =
        scheme === 'bearer' ? realmOf(parameters.get('realm'), endpoint.base) : undefined;
      if (realm === undefined) continue;
      const isBound = isOfRegistry(realm, endpoint.base) || this.#isNamed(realm, endpoint);
      const begun = this.#now();
      try {
        const { token, lifeMs } = await this.#components.tokens.fetch(
          {
            ...{ endpoint, realm, service: parameters.get('service') },
            scope: scopeOf(parameters.get('scope'), repository),
            credential: isBound ? credential : undefined,
          },
          signal,
        );
        return { header: `Bearer ${token}`, until: begun + lifeMs * USED_LIFE };
      } catch (error) {
        const isForeign = credential !== undefined && !isBound;
        if (!isForeign || !(error instanceof UpstreamError) || error.reason !== 'denied')
          throw error;
        const why = `${error.message}; it got no credentials, as it is not of the domain of ${endpoint.base.host} (--upstream-token-servers)`;
        throw new UpstreamError('denied', why, { cause: error });
      }
    }
    const basic = challenges.some(({ scheme }) => scheme === 'basic') && basicOf(credential);
    if (typeof basic === 'string') return { header: basic, until: Infinity };
    throw nothingToShow(endpoint, credential !== undefined);
  }

  #isNamed(realm: URL, { host }: UpstreamEndpoint): boolean {
    const own = canonicalRegistry(host);
    return (this.#components.tokenServers ?? []).some(
      (it) => it.registry === own && it.host === realm.host,
    );
  }
}

/** The scope that the registry names, for pulls only, or that of the repository. */
function scopeOf(stated: string | undefined, repository: string): string {
  const [, name] = /^repository:([a-z0-9._/:-]{1,512}):[a-z,*]+$/.exec(stated ?? '') ?? [];
  return `repository:${name ?? repository}:pull`;
}

function keyOf({ base }: UpstreamEndpoint, repository: string): string {
  return `${base.href} ${repository}`;
}

function nothingToShow({ base }: UpstreamEndpoint, hasCredentials: boolean): UpstreamError {
  const what = hasCredentials ? 'other credentials than this node has' : 'credentials';
  return new UpstreamError('denied', `${base.host} wants ${what}`);
}
