import type { Logger } from 'pino';

import type { Content, ContentSource } from '../content/content-source.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { contentKey, type ContentRequest } from '../oci/content-request.ts';
import type { Digest } from '../oci/digest.ts';
import type { Provider, Router } from '../routing/router.ts';
import { BoundedMap } from '../timing/bounded-map.ts';
import { Deadline } from '../timing/deadline.ts';
import { ExpiringSet } from '../timing/expiring-set.ts';
import type { PeerClient } from './client/peer-client.ts';
import { askPeer } from './select/ask-peer.ts';

/** How long a tag is not compared again, in milliseconds. */
const INTERVAL_MS = 600_000;
/** How long a tag is not named in the log again, in milliseconds. */
const LOG_INTERVAL_MS = 24 * 3_600_000;
/** Tags for which these times are remembered. */
const MAX_TAGS = 1_000;
/** Comparisons at once; a tag beyond it is compared the next time that it is pulled. */
const MAX_COMPARISONS = 2;
/** Other holders that are asked for one tag. */
const MAX_HOLDERS = 8;
/** How long one comparison may take, in milliseconds. */
const COMPARISON_MS = 5_000;
/** Tags that the status names. */
const MAX_REPORTED = 20;

/** Which holders have which digest for a tag. */
type Answers = ReadonlyMap<Digest, readonly string[]>;

/** What a {@link TagAgreement} needs. */
export interface TagAgreementComponents {
  readonly source: ContentSource;
  readonly router: Pick<Router, 'lookup'>;
  readonly client: Pick<PeerClient, 'fetch'>;
  readonly metrics: Pick<Metrics, 'tagDisagreements'>;
  readonly logger: Logger;
}

/**
 * A source that compares the holders of each tag that it resolves, after the answer and at most every ten minutes.
 * Holders disagree about a tag that has moved, and in two clusters that are mixed up: which image a pull gets is then a
 * matter of chance. Nothing can decide which of them is right, so it is only reported.
 */
export class TagAgreement implements ContentSource {
  readonly #components: TagAgreementComponents;
  readonly #compared = new ExpiringSet(MAX_TAGS);
  readonly #logged = new ExpiringSet(MAX_TAGS);
  readonly #disagreements = new BoundedMap<string, Answers>(MAX_REPORTED);
  readonly #comparisons = new Set<Promise<void>>();
  readonly #stopped = new AbortController();

  constructor(components: TagAgreementComponents) {
    this.#components = components;
  }

  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    const content = await this.#components.source.fetch(request, signal);
    if (content !== undefined && request.tag !== undefined) this.#begin(request, content);
    return content;
  }

  reasonFor(request: ContentRequest): string | undefined {
    return this.#components.source.reasonFor?.(request);
  }

  /** The tags about which holders disagree, for `/debug/status`: the holders by digest. */
  status(): Record<string, Record<string, readonly string[]>> {
    return Object.fromEntries(
      [...this.#disagreements.entries()].map(([tag, answers]) => [
        tag,
        Object.fromEntries(answers),
      ]),
    );
  }

  /** Ends the comparisons under way; there are no others. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#comparisons);
  }

  #begin(request: ContentRequest, { origin, descriptor }: Content): void {
    const key = contentKey(request);
    const isBusy = this.#comparisons.size >= MAX_COMPARISONS;
    if (isBusy || this.#stopped.signal.aborted || this.#compared.has(key)) return;
    this.#compared.add(key, INTERVAL_MS);
    const first = new Map([[descriptor.digest, [origin]]]);
    const comparison = this.#compare(request, first)
      .catch((err: unknown) => {
        this.#components.logger.debug({ err, image: key }, 'the holders of a tag not compared');
      })
      .finally(() => this.#comparisons.delete(comparison));
    this.#comparisons.add(comparison);
  }

  async #compare(request: ContentRequest, answers: Map<Digest, string[]>): Promise<void> {
    const { router } = this.#components;
    const key = contentKey(request);
    using deadline = new Deadline(COMPARISON_MS, this.#stopped.signal);
    const asked = new Set([...answers.values()].flat());
    const questions: Promise<void>[] = [];
    for await (const holder of router.lookup(key, deadline.signal)) {
      if (holder.origins.some((each) => asked.has(each))) continue;
      for (const each of holder.origins) asked.add(each);
      questions.push(this.#ask(holder, request, answers, deadline.signal));
      if (questions.length >= MAX_HOLDERS) break;
    }
    await Promise.all(questions);
    this.#report(key, answers);
  }

  async #ask(
    holder: Provider,
    request: ContentRequest,
    answers: Map<Digest, string[]>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      const head = { ...request, method: 'HEAD' } as const;
      const { client } = this.#components;
      const { descriptor, origin } = await askPeer(client, holder, head, undefined, signal);
      const others = answers.get(descriptor.digest);
      if (others === undefined) answers.set(descriptor.digest, [origin]);
      else others.push(origin);
    } catch {
      // It does not answer, or no longer has the tag: there is nothing to compare.
    }
  }

  #report(key: string, answers: Answers): void {
    if (answers.size < 2) {
      this.#disagreements.delete(key);
      return;
    }
    const { metrics, logger } = this.#components;
    this.#disagreements.set(key, answers);
    metrics.tagDisagreements.inc();
    if (this.#logged.has(key)) return;
    this.#logged.add(key, LOG_INTERVAL_MS);
    logger.warn(
      { image: key, holders: Object.fromEntries(answers) },
      'nodes have different images under one tag: it has moved, or two clusters are mixed up',
    );
  }
}
