import type { Content, ContentSource } from '../content/content-source.ts';
import type {
  CheckedTag,
  NamedManifest,
  RegistryTags,
  ResolveInit,
  SharedChecks,
  TagAnswer,
} from '../content/registry-tags.ts';
import { contentKey, wholeOf, type ContentRequest } from '../oci/content-request.ts';
import { OciError } from '../oci/errors.ts';
import { BoundedMap } from '../timing/bounded-map.ts';
import { JoinedCalls } from '../timing/joined-calls.ts';
import { UpstreamError, type UpstreamFailure } from './upstream-error.ts';
import type { UpstreamEndpoints } from './where/upstream-endpoints.ts';

/** Tags whose last known digest is kept; some 500 bytes each. The one that was asked for longest ago goes first. */
const MAX_TAGS = 10_000;
/** Registries of which it is known since when they are away. */
const MAX_REGISTRIES = 1_000;
/** How long a registry that was silent is not asked for tags, in milliseconds: each would wait for the same time-out. */
const SILENT_MS = 5_000;

/** A registry that fails so has not answered. */
const AWAY: readonly UpstreamFailure[] = ['connect', 'timeout', 'limited', 'token', 'body'];

/** What a {@link TagResolver} uses. */
export interface TagResolverComponents {
  /** Asks the hosts of the registry; see `UpstreamSource`. */
  readonly source: ContentSource;
  readonly endpoints: Pick<UpstreamEndpoints, 'covers'>;
  /** Asks for all nodes at once. Default: each node asks for itself. */
  readonly sharing?: SharedChecks | undefined;
  /** Whether a host of the registry answers this node at present, see `UpstreamSource.mayFetch`. Default: it does. */
  readonly mayAsk?: (request: ContentRequest) => boolean;
}

/** Options of a {@link TagResolver}. */
export interface TagResolverInit {
  /** How long a registry is not asked again what a tag means, in milliseconds. Default: 0, it is asked each time. */
  readonly ttl?: number;
  /** How long a registry may have been away for its last answers to count, in milliseconds. Default: 0, they do not. */
  readonly staleFor?: number;
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number;
}

interface Known {
  /** Absent when the registry has refused the tag. */
  readonly manifest?: NamedManifest;
  readonly at: number;
}

interface Away {
  readonly since: number;
  /** When it failed last. */
  readonly at: number;
  /** Until when it is not asked, because it was silent. */
  readonly silentUntil: number;
  readonly error: OciError;
}

/**
 * Asks registries what tags mean, once for all that ask on this node at the same time, and remembers the answers for the time
 * when a registry is away.
 */
export class TagResolver implements RegistryTags {
  readonly #components: TagResolverComponents;
  readonly #ttl: number;
  readonly #staleFor: number;
  readonly #now: () => number;
  readonly #asking = new JoinedCalls<CheckedTag>();
  readonly #known = new BoundedMap<string, Known>(MAX_TAGS);
  readonly #away = new BoundedMap<string, Away>(MAX_REGISTRIES);

  constructor(
    components: TagResolverComponents,
    { ttl = 0, staleFor = 0, now = () => performance.now() }: TagResolverInit = {},
  ) {
    this.#components = components;
    this.#ttl = ttl;
    this.#staleFor = staleFor;
    this.#now = now;
  }

  covers(registry: string): boolean {
    return this.#components.endpoints.covers(registry);
  }

  /** As {@link RegistryTags.resolve}. */
  async resolve(
    request: ContentRequest,
    { mayRemember }: ResolveInit,
    signal: AbortSignal,
  ): Promise<TagAnswer> {
    const key = contentKey(request);
    const known = mayRemember ? this.#known.get(key) : undefined;
    if (known?.manifest !== undefined && this.#now() - known.at < this.#ttl)
      return { kind: 'resolved', isRemembered: true, isTold: false, ...known.manifest };
    const away = this.#away.get(request.registry);
    if (away !== undefined && away.silentUntil > this.#now()) {
      return this.#answerAway(away, known);
    }
    try {
      const checked = await this.#asking.join(
        key,
        (abort) => this.#check(request, mayRemember, abort),
        signal,
      );
      return { kind: 'resolved', isRemembered: false, ...checked };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof OciError)) throw error;
      const now = this.#away.get(request.registry);
      return isAway(error) && now !== undefined
        ? this.#answerAway({ ...now, error }, known)
        : { kind: 'refused', error };
    }
  }

  #answerAway(
    { since, error }: Pick<Away, 'since' | 'error'>,
    known: Known | undefined,
  ): TagAnswer {
    const isTooLong = this.#now() - since >= this.#staleFor;
    const isRefused = known !== undefined && known.manifest === undefined;
    if (isTooLong || isRefused) return { kind: 'refused', error };
    const last = known && this.#now() - known.at < this.#staleFor ? known.manifest : undefined;
    return { kind: 'away', error, ...(last && { last }) };
  }

  /** What another node has told is not remembered: after this resolve this node knows what the registry has told itself. */
  async #check(
    request: ContentRequest,
    isShared: boolean,
    signal: AbortSignal,
  ): Promise<CheckedTag> {
    const { sharing, mayAsk = () => true } = this.#components;
    const ask = (abort: AbortSignal): Promise<NamedManifest> => this.#ask(request, abort);
    if (sharing === undefined || !isShared) return { ...(await ask(signal)), isTold: false };
    const canAsk = mayAsk(headOf(request));
    const isFinal = (error: unknown): boolean => error instanceof OciError && !isAway(error);
    return await sharing.check(contentKey(request), { canAsk, ask, isFinal }, signal);
  }

  async #ask(request: ContentRequest, signal: AbortSignal): Promise<NamedManifest> {
    const { registry } = request;
    const key = contentKey(request);
    let content: Content | undefined;
    try {
      content = await this.#components.source.fetch(headOf(request), signal);
    } catch (error) {
      if (!(error instanceof OciError)) throw error;
      if (isAway(error)) this.#isAway(registry, error);
      else {
        this.#away.delete(registry);
        this.#known.set(key, { at: this.#now() });
      }
      throw error;
    }
    if (content === undefined) throw new TypeError(`no registry that is asked: ${registry}`);
    const { descriptor, origin } = content;
    this.#away.delete(registry);
    this.#known.set(key, { manifest: { descriptor, origin }, at: this.#now() });
    return { descriptor, origin };
  }

  #isAway(registry: string, error: OciError): void {
    const at = this.#now();
    const before = this.#away.get(registry);
    // Failures of two outages, between which it was not asked, are not one long outage.
    const since = before !== undefined && at - before.at < this.#staleFor ? before.since : at;
    const isSilent = error.cause instanceof UpstreamError && error.cause.reason === 'timeout';
    const silentUntil = isSilent ? at + SILENT_MS : 0;
    this.#away.set(registry, { since, at, silentUntil, error });
  }
}

function headOf(request: ContentRequest): ContentRequest {
  return { ...wholeOf(request), method: 'HEAD' };
}

/** Whether the registry could not be asked, rather than that it has answered: no connection, no answer, 429 and 5xx. */
export function isAway({ cause }: OciError): boolean {
  if (!(cause instanceof UpstreamError)) return false;
  const { reason, status = 0 } = cause;
  return AWAY.includes(reason) || (reason === 'status' && status >= 500);
}
