import type { Content, ContentSource } from '../../content/content-source.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { Downloads } from '../downloads/downloads.ts';
import type { RequestInHand } from '../downloads/requests-in-hand.ts';

/** Parents that one request is sent to in turn, before its first byte. After that it goes upstream. */
const MAX_TRIES = 4;
/** Default of {@link FanOutSourceInit.triesMs}. */
const TRIES_MS = 5000;

/** How a request that followed others ended; a label of `peerglass_fan_out_waits_total`. */
export type WaitOutcome = 'served' | 'upstream';

/** What a {@link FanOutSource} uses. */
export interface FanOutSourceComponents {
  readonly downloads: Pick<Downloads, 'begin' | 'isBegun' | 'wait'>;
  readonly store: Pick<ContentStore, 'ingests'>;
  /**
   * Fetch from the peers that the arbiter names. `large` is for blobs whose head comes at once, `small` for what a peer sends
   * once it has verified it.
   */
  readonly following: Readonly<Record<'large' | 'small', ContentSource>>;
  /** Called for each request that had a peer to follow. */
  readonly onWaited?: (outcome: WaitOutcome) => void;
}

/** Options of {@link FanOutSource}. */
export interface FanOutSourceInit {
  /** Bytes up to which a peer sends content only once it has verified it. */
  readonly verifiedSize: number;
  /**
   * How long after its begin a request may be sent to another parent, in milliseconds. Default: 5 s. A parent may take all of
   * `--follow-timeout` for small content, and from 2.3 containerd gives a request up that has no answer for 30 s.
   */
  readonly triesMs?: number;
}

/**
 * Content that no node holds, for the client of this node: from a node that receives it at this moment. When this node
 * is the one to go upstream, and when there is no arbiter, it gives nothing.
 */
export class FanOutSource implements ContentSource {
  readonly #components: FanOutSourceComponents;
  readonly #verifiedSize: number;
  readonly #triesMs: number;

  constructor(
    components: FanOutSourceComponents,
    { verifiedSize, triesMs = TRIES_MS }: FanOutSourceInit,
  ) {
    this.#components = components;
    this.#verifiedSize = verifiedSize;
    this.#triesMs = triesMs;
  }

  /** Requests with a tag, and those by HEAD, go to the registry: they cost it little. */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    return await this.#fetch(request, true, signal);
  }

  /**
   * The same for a blob of an image that nodes have begun with, before its holders are asked. When the first of them has it, all others
   * would ask this one at once, and each get its share of one link; the arbiter has them follow each other. This node does not
   * offer to fetch it.
   */
  async fetchBegun(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    const { digest, method } = request;
    if (digest === undefined || method === 'HEAD') return undefined;
    if (!isFromStart(request) || !this.#components.downloads.isBegun(request)) return undefined;
    // What is sent when it is whole costs a holder little, and its followers a wait.
    if (((await this.#sizeOf(digest)) ?? 0) <= this.#verifiedSize) return undefined;
    return await this.#fetch(request, false, signal);
  }

  async #fetch(
    request: ContentRequest,
    offers: boolean,
    signal: AbortSignal,
  ): Promise<Content | undefined> {
    const { digest, method } = request;
    if (digest === undefined || method === 'HEAD') return undefined;
    const { downloads } = this.#components;
    const inHand = downloads.begin(request, offers);
    const waiting = downloads.wait(digest);
    const end = (): void => {
      inHand[Symbol.dispose]();
      waiting[Symbol.dispose]();
    };
    let content: Content | undefined;
    try {
      const ends = AbortSignal.any([signal, waiting.signal]);
      content = await this.#follow(request, digest, inHand, ends);
    } catch (error) {
      if (signal.aborted || !waiting.signal.aborted) throw error;
      const { kind } = inHand.decision ?? {};
      if (kind === 'follow' || kind === 'held') this.#components.onWaited?.('upstream');
    } finally {
      if (content?.kind !== 'stream') end();
      // A body that breaks off goes on from the registry when no other node has it.
      else inHand.offer();
    }
    return content?.kind === 'stream' ? holding(content, end) : content;
  }

  async #follow(
    request: ContentRequest,
    digest: Digest,
    inHand: RequestInHand,
    signal: AbortSignal,
  ): Promise<Content | undefined> {
    const { following, onWaited } = this.#components;
    const size = await this.#sizeOf(digest);
    const isLarge = request.kind === 'blob' && (size ?? 0) > this.#verifiedSize;
    const source = following[isLarge ? 'large' : 'small'];
    let hasFollowed = false;
    const start = performance.now();
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const content = await source.fetch(request, signal);
      const kind = inHand.decision?.kind;
      hasFollowed ||= kind === 'follow' || kind === 'held';
      if (content !== undefined) {
        onWaited?.('served');
        return content;
      }
      if (kind !== 'follow' && kind !== 'held') break;
      if (performance.now() - start >= this.#triesMs) break;
    }
    if (hasFollowed) onWaited?.('upstream');
    return undefined;
  }

  /** As the client has stated it to the store; undefined for a client that the store does not know. */
  async #sizeOf(digest: Digest): Promise<number | undefined> {
    try {
      await using ingest = await this.#components.store.ingests?.open(digest);
      return ingest?.total;
    } catch {
      return undefined;
    }
  }
}

/** The request is in hand as long as its body is sent: a body that breaks off asks whom to follow next. */
function holding(content: Content, end: () => void): Content {
  const { held } = content;
  return {
    ...content,
    held: {
      async [Symbol.asyncDispose]() {
        end();
        await held?.[Symbol.asyncDispose]();
      },
    },
  };
}

/** A later chunk of a blob, or the rest of one, is asked of holders: they are known by then, or the registry is next. */
function isFromStart({ range }: ContentRequest): boolean {
  return range === undefined || (range.kind === 'from' && range.start === 0);
}
