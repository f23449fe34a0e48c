import type { Content, ContentSource } from '../../content/content-source.ts';
import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { DigestRequest } from '../downloads/asking.ts';
import type { Downloads } from '../downloads/downloads.ts';
import { peersOf } from '../downloads/found-parents.ts';
import type { Aim, RequestInHand } from '../downloads/requests-in-hand.ts';
import type { Decision } from '../question.ts';
import type { KnownHolders } from './known-holders.ts';
import { whileToWait } from './silent-peers.ts';

/** Parents that one request is sent to in turn, before its first byte. After that it goes upstream. */
const MAX_TRIES = 4;
/** How long after its begin a request for a blob of a begun image is sent to another parent, in milliseconds; see `fetchBegun`. */
const BEGUN_TRIES_MS = 500;
/** Default of {@link FanOutSourceInit.triesMs}. */
const TRIES_MS = 5000;

/** Default of {@link FanOutSourceInit.silentMs}: the same as for a body that is silent. */
const SILENT_MS = 1200;

/** How a request that followed others ended; a label of `peerglass_fan_out_waits_total`. */
export type WaitOutcome = 'served' | 'upstream';

/** What a {@link FanOutSource} uses. */
export interface FanOutSourceComponents {
  readonly downloads: Pick<Downloads, 'begin' | 'isBegun' | 'isToWait' | 'wait'>;
  readonly store: Pick<ContentStore, 'ingests'>;
  readonly holders: Pick<KnownHolders, 'areFew'>;
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
  /**
   * How long a peer may take for small content before the arbiter is asked again, in milliseconds, and twice as long each further
   * time. Default: 1.2 s.
   */
  readonly silentMs?: number;
}

/** How a request is made. */
interface FollowInit {
  /** Whether peers send the content as it arrives. */
  readonly isLarge: boolean;
  readonly aim: Aim;
}

/**
 * Content that no node holds, for the client of this node: from a node that receives it at this moment. When this node
 * is the one to go upstream, and when there is no arbiter, it gives nothing.
 */
export class FanOutSource implements ContentSource {
  readonly #components: FanOutSourceComponents;
  readonly #verifiedSize: number;
  readonly #triesMs: number;
  readonly #silentMs: number;

  constructor(
    components: FanOutSourceComponents,
    { verifiedSize, triesMs = TRIES_MS, silentMs = SILENT_MS }: FanOutSourceInit,
  ) {
    this.#components = components;
    this.#verifiedSize = verifiedSize;
    this.#triesMs = triesMs;
    this.#silentMs = silentMs;
  }

  /** Requests with a tag, and those by HEAD, go to the registry: they cost it little. */
  async fetch(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    const { digest } = request;
    if (digest === undefined || request.method === 'HEAD') return undefined;
    const isLarge = await this.#isLarge(request, digest);
    return await this.#fetch({ ...request, digest }, { isLarge, aim: 'fetch' }, signal);
  }

  /**
   * The same for a blob of an image that nodes have begun with, before its holders are asked. When the first of them has it, or one node
   * has imported the image, all others would ask this one at once, and each get its share of one link. The arbiter has them follow each
   * other. Where no node receives the blob yet and few hold it, this one offers to take it from there. It does not offer to
   * fetch it from the registry.
   */
  async fetchBegun(request: ContentRequest, signal: AbortSignal): Promise<Content | undefined> {
    const { digest } = request;
    if (digest === undefined || request.method === 'HEAD') return undefined;
    if (!isFromStart(request) || !this.#components.downloads.isBegun(request)) return undefined;
    // What is sent when it is whole costs a holder little, and its followers a wait.
    if (!(await this.#isLarge(request, digest))) return undefined;
    const { downloads, holders } = this.#components;
    const begun = { ...request, digest };
    using inHand = downloads.begin(begun, 'follow');
    const followed = await this.#fetch(begun, { isLarge: true, aim: 'follow' }, signal);
    if (followed !== undefined || !knowsNone(inHand.decision)) return followed;
    if (!(await holders.areFew(digest, signal))) return undefined;
    return await this.#fetch(begun, { isLarge: true, aim: 'take' }, signal);
  }

  async #fetch(
    request: DigestRequest,
    how: FollowInit,
    signal: AbortSignal,
  ): Promise<Content | undefined> {
    const { downloads } = this.#components;
    const inHand = downloads.begin(request, how.aim);
    const waiting = downloads.wait(request.digest);
    const end = (): void => {
      inHand[Symbol.dispose]();
      waiting[Symbol.dispose]();
    };
    let content: Content | undefined;
    try {
      const ends = AbortSignal.any([signal, waiting.signal]);
      content = await this.#follow(request, how, inHand, ends);
    } catch (error) {
      if (signal.aborted || !waiting.signal.aborted) throw error;
      if (peersOf(inHand.decision).length > 0) this.#goesOn(how);
    } finally {
      if (content?.kind !== 'stream') end();
      // A body that breaks off goes on from the registry when no other node has it.
      else inHand.aimAt('fetch');
    }
    return content?.kind === 'stream' ? holding(content, end) : content;
  }

  async #follow(
    request: DigestRequest,
    how: FollowInit,
    inHand: RequestInHand,
    signal: AbortSignal,
  ): Promise<Content | undefined> {
    const { following, onWaited } = this.#components;
    const isNamed = (): boolean => peersOf(inHand.decision).length > 0;
    let hasFollowed = false;
    const isToWait = async (abort: AbortSignal): Promise<boolean> => {
      hasFollowed ||= isNamed();
      return await this.#components.downloads.isToWait(request, abort);
    };
    const silence = { checkMs: this.#silentMs, isToWait };
    const fetch = (): Promise<Content | undefined> =>
      how.isLarge
        ? following.large.fetch(request, signal)
        : whileToWait((abort) => following.small.fetch(request, abort), silence, signal);
    // Holders are next: an arbiter that names silent peers must not keep a node from them for long.
    const triesMs = how.aim === 'fetch' ? this.#triesMs : BEGUN_TRIES_MS;
    const start = performance.now();
    for (let tries = 0; tries < MAX_TRIES; tries += 1) {
      const content = await fetch();
      hasFollowed ||= isNamed();
      if (content !== undefined) {
        onWaited?.('served');
        return content;
      }
      if (!isNamed() || performance.now() - start >= triesMs) break;
    }
    if (hasFollowed) this.#goesOn(how);
    return undefined;
  }

  /** No peer that was followed has served the request. It goes to the registry next, or to the holders. */
  #goesOn({ aim }: FollowInit): void {
    if (aim === 'fetch') this.#components.onWaited?.('upstream');
  }

  /** Whether peers send it as it arrives. */
  async #isLarge({ kind }: ContentRequest, digest: Digest): Promise<boolean> {
    return kind === 'blob' && ((await this.#sizeOf(digest)) ?? 0) > this.#verifiedSize;
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

/** Whether the arbiter has answered, and knows of no node that receives the content or has it. */
function knowsNone(decision: Decision | undefined): boolean {
  return decision?.kind === 'alone' && decision.forMs > 0;
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
