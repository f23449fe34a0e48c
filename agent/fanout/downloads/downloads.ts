import type { Logger } from 'pino';

import type { ContentRequest } from '../../oci/content-request.ts';
import { parseDigest, type Digest } from '../../oci/digest.ts';
import { peerIdOf } from '../../routing/lookup/named-provider.ts';
import type { Provider } from '../../routing/router.ts';
import type { ContentStore } from '../../store/content-store.ts';
import type { Ingest, IngestProgress } from '../../store/ingests.ts';
import { BoundedMap } from '../../timing/bounded-map.ts';
import type { Followers, Decision } from '../question.ts';
import type { Arbiters } from '../wire/arbiters.ts';
import type { NamedMembers } from '../wire/named-members.ts';
import { FailedPeers } from './failed-peers.ts';
import { Participation, type ParticipationStatus, type Role } from './participation.ts';
import { RequestsInHand, type RequestInHand } from './requests-in-hand.ts';

/** Downloads that are reported at the same time; further ones have an arbiter, and no reports. */
const MAX_PARTICIPATIONS = 1000;
/** Digests that are remembered as those without an arbiter. */
const MAX_ALONE = 1000;
/** In which time a client whose body has ended asks again, in milliseconds. */
const LEASE_MS = 2_000;
/** For how long an arbiter may send a node away, in milliseconds. */
const MAX_ALONE_MS = 60_000;

/**
 * Bodies of one digest that trickle, after which this node goes upstream itself. Each takes ten seconds. An arbiter that lies
 * can always name another peer that does.
 */
const MAX_TRICKLES = 3;

export interface DownloadsComponents {
  readonly store: Pick<ContentStore, 'ingests' | 'stat'>;
  readonly arbiters: Pick<Arbiters, 'ask'>;
  readonly named: Pick<NamedMembers, 'of'>;
  readonly followers: Followers;
  readonly observer?: DownloadObserver;
  readonly logger: Logger;
}

/** Learns how the downloads of this node go on; see `ParticipationObserver`. */
interface DownloadObserver {
  received(request: ContentRequest, state: Role['state'], bytes: number): void;
  fetched(digest: Digest, size: number): void;
}

/** Options of {@link Downloads}. */
export interface DownloadsInit {
  /** The zone of this node; empty without one, the default. */
  readonly zone?: string;
}

/** Where the content may come from. */
export interface FoundParents {
  readonly decision: Decision;
  /** The peers that the answer names and this node may ask, best first. */
  readonly providers: readonly Provider[];
}

/** A download, as `/debug/downloads` shows it. */
export interface DownloadStatus extends ParticipationStatus {
  readonly digest: Digest;
  readonly registry: string;
  readonly repository: string;
}

/** What this node wants, fetches and follows. */
export class Downloads {
  readonly #components: DownloadsComponents;
  readonly #zone: string;
  readonly #failed = new FailedPeers();
  readonly #requests = new RequestsInHand();
  readonly #participations = new Map<
    Digest,
    { readonly participation: Participation; readonly request: ContentRequest }
  >();
  /** Digest -> until when it has no arbiter. */
  readonly #alone = new BoundedMap<Digest, number>(MAX_ALONE);
  /** Digest -> until when its client is sent upstream at once. */
  readonly #leases = new BoundedMap<Digest, number>(MAX_ALONE);
  /** Digest -> bodies that trickled. */
  readonly #trickles = new BoundedMap<Digest, number>(MAX_ALONE);
  readonly #endOfChanges: () => void;
  #isStopped = false;

  constructor(components: DownloadsComponents, { zone = '' }: DownloadsInit = {}) {
    this.#components = components;
    this.#zone = zone;
    this.#endOfChanges = components.followers.onChange((digest) => {
      this.#participations.get(digest)?.participation.followersChanged();
    });
  }

  /** A client of this node asks for content by digest; until it is disposed of, {@link inHand} finds the request. */
  begin(request: ContentRequest): RequestInHand {
    return this.#requests.begin(request);
  }

  /** The request that has {@link begin | begun} for the content with this key. */
  inHand(key: string): ContentRequest | undefined {
    return this.#requests.of(key);
  }

  /**
   * Asks the arbiter where the content comes from. If this node is to fetch it or to follow a peer, and its store receives
   * it, the arbiter gets reports from then on.
   *
   * @throws the signal's reason
   */
  async find(request: ContentRequest, signal: AbortSignal): Promise<FoundParents> {
    const { digest } = request;
    if (digest === undefined || this.#isStopped) return alone(0);
    const forMs = (this.#alone.get(digest) ?? 0) - performance.now();
    if (forMs > 0) return alone(forMs);
    await using opened = await this.#open(digest);
    const found = await this.#ask(digest, opened.current, signal);
    if (this.#takesPart(request, found, opened.current)) opened.release();
    return found;
  }

  /**
   * Whether the arbiter has sent the requests for the content with this key upstream. The body that asks ends then: when this
   * node is to fetch the content, {@link takeLease} sends the client's next request upstream at once.
   */
  goesUpstream(key: string): boolean {
    const { kind } = this.#requests.decisionOf(key) ?? {};
    const digest = parseDigest(key);
    if (kind === 'fetch' && digest !== undefined) {
      this.#leases.set(digest, performance.now() + LEASE_MS);
    }
    return kind === 'fetch' || kind === 'alone';
  }

  /**
   * Whether a body of this content has just ended because this node is to fetch it. It says so once, and not for longer than
   * a client needs to ask again.
   */
  takeLease(digest: Digest): boolean {
    const until = this.#leases.get(digest) ?? 0;
    this.#leases.delete(digest);
    return until > performance.now();
  }

  /** The peer did not serve this node with the content: the arbiter is to name another. */
  failed(key: string, peerId: string): void {
    const digest = parseDigest(key);
    if (digest !== undefined) this.#failed.add(digest, peerIdOf(peerId));
  }

  /** The body of a peer came so slowly that it was ended: after three of them this node does as if there were no arbiter. */
  trickled(key: string): void {
    const digest = parseDigest(key);
    if (digest === undefined) return;
    const times = (this.#trickles.get(digest) ?? 0) + 1;
    this.#trickles.set(digest, times);
    if (times < MAX_TRICKLES) return;
    this.#trickles.delete(digest);
    this.#alone.set(digest, performance.now() + MAX_ALONE_MS);
    this.#requests.answered(digest, { kind: 'alone', forMs: MAX_ALONE_MS });
  }

  /** What the store of this node has received has another digest. */
  wrong(digest: Digest): void {
    this.#participations.get(digest)?.participation.wrong();
  }

  status(): readonly DownloadStatus[] {
    return [...this.#participations].map(([digest, { participation, request }]) => ({
      digest,
      registry: request.registry,
      repository: request.repository,
      ...participation.status(),
    }));
  }

  /** Ends all reports; nothing is asked from now on. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#endOfChanges();
    const all = [...this.#participations.values()];
    await Promise.all(all.map(({ participation }) => participation.stop()));
  }

  async #ask(
    digest: Digest,
    current: OpenDownload | undefined,
    signal: AbortSignal,
  ): Promise<FoundParents> {
    const { arbiters, followers, named, logger } = this.#components;
    const { offset = 0, total } = current?.progress ?? {};
    const { children, isRoomy } = followers.state(digest);
    const canFetch = current !== undefined;
    const decision = await arbiters.ask(
      {
        digest,
        state: 'wants',
        offset,
        ...(total !== undefined && { size: total }),
        failed: this.#failed.of(digest),
        canFetch,
        children,
        // What a client receives that the store does not know cannot be served to followers.
        isRoomy: isRoomy && canFetch,
        zone: this.#zone,
      },
      signal,
    );
    const providers = named
      .of(decision)
      .filter(({ peerId }) => !this.#failed.isOut(digest, peerIdOf(peerId)));
    const { kind } = decision;
    const from = providers.map(({ peerId }) => peerId);
    logger.debug({ digest, decision: kind, from, offset }, 'the arbiter has answered');
    // One that this node may not ask is of no use to it.
    if (decision.kind === 'follow' && providers.length === 0) {
      this.#failed.add(digest, decision.parent.peerId);
    }
    if (decision.kind === 'alone' && decision.forMs > 0) {
      const forMs = Math.min(decision.forMs, MAX_ALONE_MS);
      this.#alone.set(digest, performance.now() + forMs);
    }
    this.#requests.answered(digest, decision);
    return { decision, providers };
  }

  /** @returns whether the download was taken over, and must not be disposed of */
  #takesPart(
    request: ContentRequest,
    found: FoundParents,
    current: OpenDownload | undefined,
  ): boolean {
    const { digest } = request;
    if (digest === undefined || this.#isStopped) return false;
    const present = this.#participations.get(digest)?.participation;
    const role = roleOf(found);
    const renewMs = 'renewMs' in found.decision ? found.decision.renewMs : undefined;
    if (present?.isRunning === true) {
      if (role !== undefined) present.change(role, renewMs);
      return false;
    }
    const begins = role !== undefined && renewMs !== undefined && current !== undefined;
    if (!begins) return false;
    if (present === undefined && this.#participations.size >= MAX_PARTICIPATIONS) return false;
    // A client that began anew; the end of its first download is of no interest any more.
    void present?.stop();
    const onEnd = (): void => {
      if (this.#participations.get(digest)?.participation !== participation) return;
      this.#participations.delete(digest);
    };
    const { store, arbiters, followers, observer, logger } = this.#components;
    const participation = new Participation(
      {
        ...{ store, arbiters, followers, logger, ingest: current.ingest, failed: this.#failed },
        ...(observer && {
          observer: {
            received: (state, bytes) => {
              observer.received(request, state, bytes);
            },
            fetched: observer.fetched.bind(observer),
          },
        }),
      },
      { zone: this.#zone, role, renewMs, onEnd },
      current.progress,
    );
    this.#participations.set(digest, { participation, request });
    return true;
  }

  async #open(digest: Digest): Promise<Opened> {
    const { store, logger } = this.#components;
    try {
      const ingest = await store.ingests?.open(digest);
      if (ingest === undefined) return new Opened(undefined);
      const opened = new Opened({ ingest, progress: await progressOf(ingest) });
      if (opened.current?.progress.state !== 'removed') return opened;
      await opened[Symbol.asyncDispose]();
    } catch (err) {
      logger.debug({ digest, err }, 'cannot look at an unfinished download');
    }
    return new Opened(undefined);
  }
}

/** An unfinished download of the store, and how far it is. */
interface OpenDownload {
  readonly ingest: Ingest;
  readonly progress: IngestProgress;
}

/** Disposes of a download, unless it is released. */
class Opened implements AsyncDisposable {
  readonly current: OpenDownload | undefined;
  #isReleased = false;

  constructor(current: OpenDownload | undefined) {
    this.current = current;
  }

  release(): void {
    this.#isReleased = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isReleased) await this.current?.ingest[Symbol.asyncDispose]();
  }
}

async function progressOf(ingest: Ingest): Promise<IngestProgress> {
  try {
    return await ingest.progress();
  } catch (error) {
    await ingest[Symbol.asyncDispose]();
    throw error;
  }
}

/** What this node does after the answer; undefined when it does what it did before. */
function roleOf({ decision, providers }: FoundParents): Role | undefined {
  const [provider] = providers;
  switch (decision.kind) {
    case 'fetch':
    case 'alone':
      return { state: 'fetching' };
    case 'follow':
    case 'held':
      return provider && { state: 'following', parent: peerIdOf(provider.peerId) };
    case 'go-on':
      return undefined;
  }
}

function alone(forMs: number): FoundParents {
  return { decision: { kind: 'alone', forMs }, providers: [] };
}
