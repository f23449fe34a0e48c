import type { ContentRequest } from '../../oci/content-request.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Provider } from '../../routing/router.ts';
import { destroyQuietly } from '../../streams/destroy-quietly.ts';
import type { PeerResponse } from '../client/peer-client.ts';
import { PeerError } from '../client/peer-error.ts';
import type { KnownSizes } from './known-sizes.ts';

/** Answers to HEAD that are remembered for one request. */
const MAX_CLAIMS = 128;

interface Claim {
  readonly provider: Provider;
  readonly descriptor: Descriptor;
}

/**
 * The sizes that peers state for the content of one request, and the size that a manifest names. Neither is certain: a
 * peer that contradicts the manifest is left out only as long as the request may be served by others.
 */
export class SizeClaims {
  readonly #request: ContentRequest;
  readonly #sizes: KnownSizes;
  #heads: Claim[] = [];
  /** Peer IDs of those that contradicted the manifest. */
  readonly #keptOut = new Set<string>();
  #isSettled = false;

  constructor(request: ContentRequest, sizes: KnownSizes) {
    this.#request = request;
    this.#sizes = sizes;
  }

  /**
   * Compares the size of an answer with the one that a manifest names.
   *
   * @throws PeerError `protocol` when they differ; the body is destroyed then
   */
  check(provider: Provider, method: ContentRequest['method'], response: PeerResponse): void {
    const { descriptor, body } = response;
    if (method === 'HEAD' && this.#heads.length < MAX_CLAIMS) {
      this.#heads.push({ provider, descriptor });
    }
    if (this.#isSettled) return;
    const named = this.#sizes.of(this.#request, descriptor.digest);
    if (named === undefined || named === descriptor.size) return;
    this.#keptOut.add(provider.peerId);
    destroyQuietly(body);
    throw new PeerError('protocol', 'another size than in the manifest');
  }

  /** From now on the size that a manifest names does not count. */
  settle(): void {
    this.#isSettled = true;
  }

  /**
   * Forgets the size that a manifest names for the requested content, and settles.
   *
   * @returns peer IDs of those that contradicted it
   */
  dropHint(): readonly string[] {
    const keptOut = [...this.#keptOut];
    this.#keptOut.clear();
    if (keptOut.length === 0) return [];
    this.settle();
    const { digest } = this.#request;
    if (digest !== undefined) this.#sizes.forget(this.#request, digest);
    return keptOut;
  }

  /** Forgets what the peer stated: it has failed already. */
  dismiss({ peerId }: Provider): void {
    this.#heads = this.#heads.filter(({ provider }) => provider.peerId !== peerId);
  }

  /** The peers that stated another size for the same digest in answer to a HEAD. Each is given once. */
  contradicting({ digest, size }: Descriptor): readonly Provider[] {
    return this.#heads
      .splice(0)
      .filter(({ descriptor: it }) => it.digest === digest && it.size !== size)
      .map(({ provider }) => provider);
  }
}
