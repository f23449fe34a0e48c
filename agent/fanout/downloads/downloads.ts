import type { Logger } from 'pino';

import type { ContentRequest } from '../../oci/content-request.ts';
import { parseDigest, type Digest } from '../../oci/digest.ts';
import { peerIdOf } from '../../routing/lookup/named-provider.ts';
import type { ContentStore } from '../../store/content-store.ts';
import { BoundedMap } from '../../timing/bounded-map.ts';
import type { Followers, Decision } from '../question.ts';
import type { Arbiters } from '../wire/arbiters.ts';
import type { NamedMembers } from '../wire/named-members.ts';
import { Asking, isAnswer, type DigestRequest } from './asking.ts';
import { ClientSlots, type Waiting } from './client-slots.ts';
import { FailedPeers } from './failed-peers.ts';
import { alone, ALONE, peersOf, renewMsOf, roleOf, type FoundParents } from './found-parents.ts';
import { ImageLeads } from './image-leads.ts';
import { openDownload, type OpenDownload } from './open-download.ts';
import { Participations, type DownloadObserver, type DownloadStatus } from './participations.ts';
import { RequestsInHand, type Aim, type RequestInHand } from './requests-in-hand.ts';

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
  readonly arbiters: Pick<Arbiters, 'ask' | 'askToFollow' | 'askToTake'>;
  readonly named: Pick<NamedMembers, 'of'>;
  readonly followers: Followers;
  /** Whether the registry lets this node fetch the content at present. Default: it does. */
  readonly mayFetch?: ((request: ContentRequest) => boolean) | undefined;
  readonly observer?: Omit<DownloadObserver, 'ended'>;
  readonly logger: Logger;
}

/** Options of {@link Downloads}. */
export interface DownloadsInit {
  /** The zone of this node; empty without one, the default. */
  readonly zone?: string;
}

/** What this node wants, fetches and follows. */
export class Downloads {
  readonly #components: DownloadsComponents;
  readonly #asking: Asking;
  readonly #failed = new FailedPeers();
  readonly #requests = new RequestsInHand();
  readonly #slots = new ClientSlots();
  readonly #leads = new ImageLeads();
  readonly #participations: Participations;
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
    const { store, arbiters, followers, mayFetch, observer, logger } = components;
    this.#asking = new Asking(
      { arbiters, followers, mayFetch, failed: this.#failed, leads: this.#leads },
      zone,
    );
    this.#participations = new Participations(
      {
        ...{ store, arbiters, followers, logger, failed: this.#failed },
        observer: {
          received: (request, state, bytes) => {
            if (request.digest !== undefined) this.#slots.began(request.digest);
            observer?.received(request, state, bytes);
          },
          fetched: (digest, size) => {
            observer?.fetched(digest, size);
          },
          ended: (digest) => {
            this.#slots.began(digest);
          },
        },
      },
      zone,
    );
    this.#endOfChanges = followers.onChange((digest) => {
      this.#participations.of(digest)?.followersChanged();
    });
  }

  /**
   * A client of this node asks for content by digest; until it is disposed of, {@link inHand} finds the request.
   *
   * @param aim what it asks the arbiter for. Default: to fetch the content
   */
  begin(request: ContentRequest, aim?: Aim): RequestInHand {
    return this.#requests.begin(request, aim);
  }

  /** A request of the client may have to wait for a node that it follows; see {@link ClientSlots}. */
  wait(digest: Digest): Waiting {
    return this.#slots.begin(digest, () => {
      this.#sendUpstream(digest);
    });
  }

  /** Another node has the manifest of this image: the layers are left to it first, see {@link ImageLeads}. */
  isLed(manifest: ContentRequest): void {
    this.#leads.isLed(manifest);
  }

  /** Whether nodes have begun with the image of this blob lately, see {@link ImageLeads.isBegun}. */
  isBegun(blob: ContentRequest): boolean {
    return this.#leads.isBegun(blob);
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
    return await this.#find(request, signal);
  }

  /**
   * Asks the arbiter once more, since the peers that it has named are silent. Two nodes that each follow the other by the answers of two
   * arbiters would wait without end. Without an answer this node does what it did before.
   *
   * @returns whether the arbiter names one of them again: the whole line waits for the registry
   * @throws the signal's reason
   */
  async isToWait(request: DigestRequest, signal: AbortSignal): Promise<boolean> {
    const { digest } = request;
    const before = this.#requests.decisionOf(digest);
    const silent = peersOf(before);
    // The arbiter is still being asked.
    if (silent.length === 0) return true;
    for (const peerId of silent) this.#failed.silent(digest, peerId);
    const { providers } = await this.#find(request, signal, before);
    return providers.some(({ peerId }) => silent.includes(peerIdOf(peerId)));
  }

  /** @param before what counts when there is no answer */
  async #find(
    request: ContentRequest,
    signal: AbortSignal,
    before?: Decision,
  ): Promise<FoundParents> {
    const { digest } = request;
    if (digest === undefined || this.#isStopped) return alone(0);
    const forMs = (this.#alone.get(digest) ?? 0) - performance.now();
    if (forMs > 0) return alone(forMs);
    const { store, logger } = this.#components;
    await using opened = new AsyncDisposableStack();
    const current = await openDownload(store, digest, logger);
    opened.use(current?.ingest);
    const found = await this.#ask({ ...request, digest }, current, signal, before);
    // The participation disposes of it.
    if (this.#takesPart(request, found, current)) opened.move();
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

  /** This node is to fetch the content, and takes it from a node that holds it. */
  takes(digest: Digest): void {
    this.#participations.of(digest)?.change({ state: 'taking' });
    this.#slots.began(digest);
  }

  /** Whether this node takes the content from one that holds it, and others follow it. */
  isTaking(digest: Digest): boolean {
    return this.#participations.of(digest)?.status().state === 'taking';
  }

  /** The peer did not serve this node with the content: the arbiter is to name another. */
  failed(key: string, peerId: string): void {
    const digest = parseDigest(key);
    if (digest !== undefined) this.#failed.add(digest, peerIdOf(peerId));
  }

  /** The client receives the first bytes of a body. */
  begins(key: string): void {
    const digest = parseDigest(key);
    if (digest !== undefined) this.#slots.began(digest);
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
    this.#sendUpstream(digest);
  }

  /** What the store of this node has received has another digest. */
  wrong(digest: Digest): void {
    this.#participations.of(digest)?.wrong();
  }

  status(): readonly DownloadStatus[] {
    return this.#participations.status();
  }

  /** Ends all reports; nothing is asked from now on. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#endOfChanges();
    this.#slots.stop();
    await this.#participations.stop();
  }

  async #ask(
    request: DigestRequest,
    current: OpenDownload | undefined,
    signal: AbortSignal,
    before: Decision = ALONE,
  ): Promise<FoundParents> {
    const { digest } = request;
    const { named, logger } = this.#components;
    const { offset = 0 } = current?.progress ?? {};
    const aim = this.#requests.aimOf(digest);
    const answer = await this.#asking.ask(request, { current, aim }, signal);
    const answered = isAnswer(answer) ? answer : before;
    this.#leads.answered(request, answered);
    const decision = this.#slots.isCutting && answered.kind === 'follow' ? ALONE : answered;
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
    // An arbiter that knows of no member that has it sends away who does not offer. Others may hold it.
    if (aim === 'fetch' && decision.kind === 'alone' && decision.forMs > 0) {
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
    const role = roleOf(found, this.#requests.aimOf(digest));
    if (role === undefined) return false;
    const renewMs = renewMsOf(found.decision);
    const present = this.#participations.of(digest);
    let isTaken = false;
    if (present?.isRunning === true) present.change(role, renewMs);
    else if (renewMs !== undefined && current !== undefined)
      isTaken = this.#participations.begin(request, current, role, renewMs);
    if (role.state === 'fetching') this.#sendUpstream(digest);
    return isTaken;
  }

  /** The client goes to the registry for the content, where it receives it at all: the arbiter and what waits learn it. */
  #sendUpstream(digest: Digest): void {
    const participation = this.#participations.of(digest);
    if (participation?.isRunning !== true) return;
    participation.change({ state: 'fetching' });
    this.#slots.sentUpstream(digest);
  }
}
