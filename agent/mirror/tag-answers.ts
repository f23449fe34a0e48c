import type { Logger } from 'pino';

import {
  LOCAL_ORIGIN,
  SourceUnavailableError,
  type Content,
  type ContentSource,
} from '../content/content-source.ts';
import type { NamedManifest, RegistryTags } from '../content/registry-tags.ts';
import { BoundedLabels } from '../metrics/bounded-labels.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { contentKey, pinned, wholeOf, type ContentRequest } from '../oci/content-request.ts';
import { OciError } from '../oci/errors.ts';
import type { SharePolicy } from '../oci/share-policy.ts';
import { ExpiringSet } from '../timing/expiring-set.ts';

/** How long a tag is not named in the log again, in milliseconds. */
const LOG_INTERVAL_MS = 600_000;
/** Tags for which that is remembered. */
const MAX_LOGGED = 1_000;

/** What {@link TagAnswers} use. */
export interface TagAnswersComponents {
  readonly tags: RegistryTags;
  readonly policy: Pick<SharePolicy, 'asksRegistry' | 'sharesTag'>;
  /** Where content may be while the registry is away, in order: this node, then others. */
  readonly sources: readonly ContentSource[];
  readonly metrics: Pick<Metrics, 'upstreamTags'>;
  readonly logger: Logger;
}

/** What a tag means, or why it is not known. */
export type ResolvedTag =
  /** `warning`: the registry has not said so now; the value of the field `Warning`. */
  | ({ readonly kind: 'named'; readonly warning?: string } & NamedManifest)
  /** With the registry's own words. */
  | { readonly kind: 'unknown'; readonly error: OciError };

/**
 * Says what a tag means: the registry is asked first. Only while it is away is the digest served that the cluster last saw, for
 * tags that are shared.
 */
export class TagAnswers {
  readonly #components: TagAnswersComponents;
  readonly #logged = new ExpiringSet(MAX_LOGGED);
  readonly #labels = new BoundedLabels();

  constructor(components: TagAnswersComponents) {
    this.#components = components;
  }

  /** Whether a request of a client of this node is for a tag of which this node asks the registry. */
  covers(request: ContentRequest): boolean {
    const { tags, policy } = this.#components;
    return (
      request.tag !== undefined && tags.covers(request.registry) && policy.asksRegistry(request)
    );
  }

  /** @throws the signal's reason */
  async resolve(request: ContentRequest, signal: AbortSignal): Promise<ResolvedTag> {
    const { tags, policy } = this.#components;
    const { registry, repository, tag = '' } = request;
    const mayRemember = policy.sharesTag(registry, repository, tag);
    const answer = await tags.resolve(request, { mayRemember }, signal);
    if (answer.kind === 'resolved') {
      const here = answer.isRemembered ? 'remembered' : 'registry';
      this.#count(request, answer.isTold ? 'shared' : here);
      return { kind: 'named', descriptor: answer.descriptor, origin: answer.origin };
    }
    const { kind, error } = answer;
    const last =
      kind === 'away' && mayRemember && (await this.#lastSeen(request, answer.last, signal));
    if (!last) {
      this.#count(request, kind === 'away' ? 'unavailable' : 'refused');
      return { kind: 'unknown', error };
    }
    this.#count(request, 'stale');
    this.#log(request, last, error);
    return { kind: 'named', ...last, warning: warningOf(request, last) };
  }

  /** The digest that the registry gave this node last, if a node has its manifest, else what nodes have under the tag. */
  async #lastSeen(
    request: ContentRequest,
    last: NamedManifest | undefined,
    signal: AbortSignal,
  ): Promise<NamedManifest | undefined> {
    const head = { ...wholeOf(request), method: 'HEAD' } as const;
    const found = last && (await this.#find(pinned(head, last.descriptor.digest), signal));
    return found ?? (await this.#find(head, signal));
  }

  async #find(head: ContentRequest, signal: AbortSignal): Promise<NamedManifest | undefined> {
    for (const source of this.#components.sources) {
      const content = await fetchIfHeld(source, head, signal);
      if (content === undefined) continue;
      if (content.held !== undefined) await content.held[Symbol.asyncDispose]();
      const { descriptor, origin } = content;
      return { descriptor, origin };
    }
    return undefined;
  }

  #count({ registry }: ContentRequest, answer: TagOutcome): void {
    this.#components.metrics.upstreamTags.inc({ registry: this.#labels.label(registry), answer });
  }

  #log(request: ContentRequest, { descriptor, origin }: NamedManifest, { code }: OciError): void {
    const image = contentKey(request);
    if (this.#logged.has(image)) return;
    this.#logged.add(image, LOG_INTERVAL_MS);
    const { digest } = descriptor;
    this.#components.logger.warn(
      { image, digest, origin, code },
      'a registry cannot be asked what a tag means: it is answered as it was last seen',
    );
  }
}

/** A label of `peerglass_upstream_tags_total`. */
type TagOutcome = 'registry' | 'shared' | 'remembered' | 'stale' | 'refused' | 'unavailable';

/** A source that leaves the content to the registry, or cannot be read, has none that helps while the registry is away. */
async function fetchIfHeld(
  source: ContentSource,
  head: ContentRequest,
  signal: AbortSignal,
): Promise<Content | undefined> {
  try {
    return await source.fetch(head, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof SourceUnavailableError || error instanceof OciError) return undefined;
    throw error;
  }
}

/** @see OCI distribution specification, "Warnings": the code 299, the agent `-`, and a text, which containerd shows. */
function warningOf(request: ContentRequest, { origin }: NamedManifest): string {
  const where = origin === LOCAL_ORIGIN ? 'this node' : 'another node';
  return `299 - "${request.registry} cannot be asked at present: ${contentKey(request)} is what ${where} has"`;
}
