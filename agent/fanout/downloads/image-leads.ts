import type { ContentRequest } from '../../oci/content-request.ts';
import { BoundedMap } from '../../timing/bounded-map.ts';
import type { Decision } from '../question.ts';

/** For how long it counts who has fetched the manifest of an image, in milliseconds. */
const LEAD_MS = 60_000;
/** Repositories that are remembered. */
const MAX_REPOSITORIES = 1_000;

/**
 * Which images another node leads: it has fetched their manifests, and asks for their layers a moment before this one. When each layer
 * is fetched by another node, all nodes wait for each other (see `ClientSlots`); so this node leaves the layers to the one that
 * leads, if that takes them.
 */
export class ImageLeads {
  /** Repository -> until when it counts that nodes have begun with its image. */
  readonly #begun = new BoundedMap<string, number>(MAX_REPOSITORIES);
  /** Repository -> until when another node leads. */
  readonly #others = new BoundedMap<string, number>(MAX_REPOSITORIES);
  readonly #now: () => number;

  /** @param now milliseconds on a clock that never jumps */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The arbiter has answered for a manifest or a blob of an image. */
  answered(request: ContentRequest, { kind }: Decision): void {
    if (request.kind !== 'manifest') return;
    if (kind !== 'alone') this.#begun.set(repositoryOf(request), this.#now() + LEAD_MS);
    if (kind === 'follow' || kind === 'held') this.isLed(request);
    else this.#others.delete(repositoryOf(request));
  }

  /** Another node has the manifest that this one asks for, or is about to have it. */
  isLed(request: ContentRequest): void {
    const until = this.#now() + LEAD_MS;
    this.#begun.set(repositoryOf(request), until);
    this.#others.set(repositoryOf(request), until);
  }

  /** Whether this blob is one of an image that nodes have begun with lately: others may receive it at this moment. */
  isBegun(request: ContentRequest): boolean {
    return request.kind === 'blob' && (this.#begun.get(repositoryOf(request)) ?? 0) > this.#now();
  }

  /** Whether another node is to fetch this blob, if it asks for it. */
  isLeft(request: ContentRequest): boolean {
    return request.kind === 'blob' && (this.#others.get(repositoryOf(request)) ?? 0) > this.#now();
  }
}

function repositoryOf({ registry, repository }: ContentRequest): string {
  return `${registry}/${repository}`;
}
