import type { ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import { pinnedName } from '../oci/reference.ts';
import type { SharePolicy } from '../oci/share-policy.ts';
import type { RepositoryName } from '../store/provenance.ts';

/** Longest search for a node that has imported an image, in milliseconds. Then the registry is asked. */
const SEARCH_MS = 500;

/**
 * Who says what a name means.
 *
 * - `anyone`: this node or another one.
 * - `peers`: other nodes, of which only those answer that have imported the image.
 * - `registry`: neither.
 */
export type Resolver = 'anyone' | 'peers' | 'registry';

export interface ImportedNamesComponents {
  readonly policy: Pick<SharePolicy, 'asksOrigin'>;
  /** Whether this node has imported the image of a request, or knows that another has. */
  readonly isImported: (request: ContentRequest) => boolean;
  /** Finds the nodes that advertise a key. */
  readonly router: { lookup(key: string, signal: AbortSignal): AsyncIterable<unknown> };
  /** Called with each name that a peer has resolved for the client of this node. See `ImportedImages`. */
  readonly onResolved: (name: RepositoryName, digest: Digest) => void;
}

/** Decides who says what names mean that the policy resolves for imported images only (`--share …=auto`). */
export class ImportedNames {
  readonly #components: ImportedNamesComponents;

  constructor(components: ImportedNamesComponents) {
    this.#components = components;
  }

  /** @returns `undefined` when the policy alone decides; never rejects */
  async resolver(
    request: ContentRequest & { readonly fromPeer: boolean },
    signal: AbortSignal,
  ): Promise<Resolver | undefined> {
    const { policy, isImported } = this.#components;
    if (!policy.asksOrigin(request)) return undefined;
    if (isImported(request)) return 'anyone';
    if (request.fromPeer) return 'registry';
    const { registry, repository, digest } = request;
    // Peers answer for a tag by themselves. Content by digest each of them gives, so its name has a record of its own.
    if (digest === undefined) return 'peers';
    const isFound = await this.#isFound(pinnedName(registry, repository, digest), signal);
    return isFound ? 'anyone' : 'registry';
  }

  /** Call when another node has given the content. Never rejects. */
  async resolved(request: ContentRequest, digest: Digest): Promise<void> {
    const { policy, onResolved } = this.#components;
    if (!policy.asksOrigin(request)) return;
    // An agent with other rules, as before an upgrade, answers for tags of pulled images too. It advertises no such key.
    const key = pinnedName(request.registry, request.repository, digest);
    if (await this.#isFound(key)) onResolved(request, digest);
  }

  async #isFound(key: string, signal?: AbortSignal): Promise<boolean> {
    const inTime = AbortSignal.timeout(SEARCH_MS);
    const either = signal === undefined ? inTime : AbortSignal.any([signal, inTime]);
    const found = this.#components.router.lookup(key, either)[Symbol.asyncIterator]();
    try {
      return (await found.next()).done !== true;
    } catch {
      return false;
    } finally {
      await found.return?.();
    }
  }
}
