import type { Logger } from 'pino';

import type { Metrics } from '../../metrics/metrics.ts';
import { contentKey, type ContentRequest } from '../../oci/content-request.ts';
import type { Provider, Router } from '../../routing/router.ts';
import type { ChunkPlan } from '../body/chunk-sizes.ts';
import type { PeerClient, PeerResponse } from '../client/peer-client.ts';
import { toPeerError, type PeerError, type PeerFailure } from '../client/peer-error.ts';
import { askPeer, timeoutAfterSilence } from './ask-peer.ts';
import type { AttemptSlots } from './attempt-slots.ts';
import { ParentQuestions } from './parent-questions.ts';
import { outcomeOf, type PeerOutcome } from './peer-outcome.ts';
import { SizeClaims } from './size-claims.ts';
import { PeerSwitching } from './peer-switching.ts';
import { ProviderSearch, type SearchRouter } from './provider-search.ts';
import { RequestPeers, type RequestProgress } from './request-peers.ts';
import type { SharedState } from './shared-state.ts';

/**
 * Failures after which the record of the content is forgotten: the peer does not hold it, or it is no longer where it
 * announced itself, as after its address went to another node. Who names a wrong address for a peer has only that
 * claim forgotten, which has a name of its own.
 */
const WRONG_RECORD: ReadonlySet<PeerFailure> = new Set(['not-found', 'digest', 'identity']);

/**
 * What a transfer needs of content routing. A router that does not know where a peer is has no `locate`. One that
 * chooses by what became of the peers that it named has `failed`, which learns of every failure.
 */
export type TransferRouter = SearchRouter &
  Pick<Router, 'forget'> &
  Partial<Pick<Router, 'locate'>> & {
    failed?(key: string, peerId: string): void;
    /** Whether another look-up finds no peer for now: a body that broke off is not kept waiting for one. */
    isOver?(key: string): boolean;
    /** A body came so slowly that it was ended. */
    trickled?(key: string): void;
    /** The first bytes of a body have come. */
    begins?(key: string): void;
  };

/** What {@link PeerAttempts} use to find and ask peers, and where they report. */
export interface PeerAttemptsComponents {
  readonly router: TransferRouter;
  readonly client: PeerClient;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly shared: SharedState;
}

/** Bounds of the search for providers, see {@link ProviderSearch}, and of what is asked of them. */
export interface PeerAttemptsInit {
  readonly resolveTimeout: number;
  readonly resolveRetries: number;
  /** How long a peer has to begin its answer, in milliseconds. It has less when it was silent the last time. */
  readonly firstByteBudget: number;
  /**
   * Whether the peers are still receiving the content themselves. Then their rate is that of their own source: it says
   * nothing about them, and another peer is not faster. Default: no.
   */
  readonly follows?: boolean;
}

/**
 * One request for content that peers may serve. It keeps what this request alone has learnt about the peers that it
 * asked, and reports to the state that all requests share what the others should know.
 */
export class PeerAttempts {
  readonly request: ContentRequest;
  /** Which chunk of a body to ask the peers for. */
  readonly chunks: ChunkPlan;
  /** The sizes that the peers state, and the one that a manifest names. */
  readonly sizes: SizeClaims;
  readonly switching: PeerSwitching;
  /** What a peer that is followed says of itself. */
  readonly parents: ParentQuestions;
  /** Whether the peers are still receiving the content themselves, see {@link PeerAttemptsInit.follows}. */
  readonly follows: boolean;
  readonly #components: PeerAttemptsComponents;
  readonly #init: PeerAttemptsInit;
  readonly #key: string;
  readonly #peers = new RequestPeers();

  constructor(request: ContentRequest, components: PeerAttemptsComponents, init: PeerAttemptsInit) {
    this.request = request;
    this.chunks = components.shared.chunkSizes.begin(request);
    this.#components = components;
    this.#init = init;
    this.follows = init.follows ?? false;
    this.#key = contentKey(request);
    this.sizes = new SizeClaims(request, components.shared.sizes);
    this.switching = new PeerSwitching(components.shared.scoreboard, this.#key);
    this.parents = new ParentQuestions(request, components);
  }

  get slots(): AttemptSlots {
    return this.#components.shared.slots;
  }

  /** Whether too many peers have answered wrongly, so that no more are asked. */
  get exhausted(): boolean {
    return this.#peers.exhausted;
  }

  /** Whether content routing is certain that no peer can be asked for now. */
  get isOver(): boolean {
    return this.#components.router.isOver?.(this.#key) ?? false;
  }

  /** What came of the request so far, while no peer has served it. */
  get progress(): RequestProgress {
    return this.#peers.progress;
  }

  /** Whether any peer is busy, and has not been taken by {@link takeBusy}. */
  get hasBusy(): boolean {
    return this.#peers.hasBusy;
  }

  /** Begins to look for providers that have not failed. It finds busy peers like all others. */
  search(onArrival: () => void, signal: AbortSignal): ProviderSearch {
    const { router, metrics } = this.#components;
    this.#peers.takeBusy();
    const init = {
      timeout: this.#init.resolveTimeout,
      retries: this.#init.resolveRetries,
      excluded: { has: (peerId: string) => this.#isExcluded(peerId) },
      choose: (candidates: readonly Provider[]) => this.choose(candidates),
      onFirst: (seconds: number) => {
        if (!this.follows) metrics.resolveDuration.observe({ router: 'libp2p' }, seconds);
      },
      onArrival,
    };
    return new ProviderSearch(router, this.#key, init, signal);
  }

  /** The best of the candidates to ask; see {@link PeerScoreboard.rank}. */
  choose(candidates: readonly Provider[]): Provider | undefined {
    const [best] = this.#components.shared.scoreboard.rank(candidates, this.#key);
    return best;
  }

  /** When a peer that has not answered is late, in milliseconds. */
  lateAfter(method: ContentRequest['method']): number {
    return this.#components.shared.firstBytes[method].lateAfter;
  }

  /** Counts which answer the race took: that of a hedge (won), or that of a late peer (lost). */
  hedged(result: 'won' | 'lost'): void {
    this.#components.metrics.hedges.inc({ result });
  }

  /** Whether other peers are asked before this one, and the race does not wait for it. */
  isDoubtful({ peerId }: Provider): boolean {
    return this.#components.shared.scoreboard.isDoubtful(peerId, this.#key);
  }

  /**
   * Asks a peer, at its addresses in turn.
   *
   * @param request what to ask this peer for; the range is that of a GET
   * @throws PeerError; the signal's reason when that is aborted
   */
  async ask(
    provider: Provider,
    request: ContentRequest,
    signal: AbortSignal,
  ): Promise<PeerResponse> {
    const { client, shared } = this.#components;
    const { scoreboard, firstBytes } = shared;
    // A busy peer may be the only holder, and gets the whole time; the race asks others meanwhile.
    const silences = scoreboard.takeSilences(provider.peerId);
    const getsWholeTime = silences === 0 || this.chunks.isLater || this.follows;
    const timeout = getsWholeTime
      ? this.#init.firstByteBudget
      : timeoutAfterSilence(provider, client.headTimeout, silences);
    this.#peers.asked();
    const { answerEnds, bodyEnds } = scoreboard.begin(provider.peerId);
    const start = performance.now();
    try {
      const response = await askPeer(client, provider, request, timeout, signal);
      this.sizes.check(provider, request.method, response);
      firstBytes[request.method].note(performance.now() - start);
      this.#record(provider, { kind: 'answered', report: response.report });
      if (request.method === 'GET' && !response.body.closed) response.body.once('close', bodyEnds);
      else bodyEnds();
      return response;
    } catch (error) {
      bodyEnds();
      throw error;
    } finally {
      answerEnds();
    }
  }

  /** Forgets the size that a manifest names. Returns whether it kept holders out; they may be asked again. */
  dropSizeHint(): boolean {
    return this.#peers.mayAskAgain(this.sizes.dropHint());
  }

  /** Records that the peer has not answered yet, though most peers would have. */
  late(provider: Provider): void {
    // A peer that waits for the content itself cannot answer sooner.
    if (!this.follows) this.#record(provider, { kind: 'late' });
  }

  /** Records that the peer holds the content and is busy; it may be asked again. */
  busy(provider: Provider, failure: PeerError): void {
    this.#record(provider, { kind: 'busy', report: failure.report });
    this.#peers.busy(provider);
    this.#report(provider, failure);
  }

  /** The peers that have been busy, in that order; from now on they may be asked again. */
  takeBusy(): Provider[] {
    return this.#peers.takeBusy();
  }

  /**
   * The peers that a busy one names as holders. Such a name is only a hint: where the peer is, and whether it is one at
   * all, comes from our own routing.
   */
  alternatives({ report }: PeerError): Provider[] {
    return (report?.alternatives ?? [])
      .filter((peerId) => !this.#isExcluded(peerId))
      .map((peerId) => this.#components.router.locate?.(peerId))
      .filter((provider) => provider !== undefined);
  }

  /** Records that the peer did not answer well. */
  missed(provider: Provider, error: unknown): void {
    const failure = toPeerError(error, 'body');
    this.#record(provider, { kind: outcomeOf(failure.reason), report: failure.report });
    this.#peers.failed(provider.peerId, failure.reason);
    this.#report(provider, failure);
  }

  /**
   * Records that the body of a peer broke off, or was wrong.
   *
   * @param delivered whether a part of it came. Then a broken connection does not count as failed the first time
   */
  broke(provider: Provider, error: unknown, delivered = false): void {
    const failure = toPeerError(error, 'body');
    this.#record(provider, { kind: 'broke-off' });
    this.#peers.brokeOff(provider.peerId, failure.reason, delivered);
    this.#report(provider, failure);
  }

  /** Records that the first bytes of a body have come. */
  begins(): void {
    this.#components.router.begins?.(this.#key);
  }

  /** Records that a body came so slowly that it is ended; its peer is recorded by {@link broke}. */
  trickled(): void {
    this.#components.router.trickled?.(this.#key);
  }

  /** Lets peers be asked again that did not answer or broke off: if no others are left, they may be the only holders. */
  forgive(): void {
    this.#peers.forgetSilence();
  }

  /**
   * Records how fast a body came.
   *
   * @param milliseconds for how long this node waited for the peer
   */
  delivered(provider: Provider, bytes: number, milliseconds: number): void {
    if (this.follows) return;
    this.#components.shared.rates.note(provider.peerId, bytes, milliseconds);
    this.#record(provider, { kind: 'delivered', bytes, milliseconds });
  }

  /** How fast bodies of peers arrive at present, in bytes a second, see {@link RecentRates}. */
  get typicalRate(): number | undefined {
    return this.#components.shared.rates.typical;
  }

  #isExcluded(peerId: string): boolean {
    const { scoreboard } = this.#components.shared;
    if (this.switching.excludes(peerId)) return true;
    return this.#peers.hasFailed(peerId) || scoreboard.isBlocked(peerId, this.#key);
  }

  #record(provider: Provider, outcome: PeerOutcome): void {
    this.#components.shared.scoreboard.record(provider, this.#key, outcome);
  }

  /** Counts and logs the failure, and corrects the DHT record and the blocklist. */
  #report(provider: Provider, failure: PeerError): void {
    const { router, metrics, logger, shared } = this.#components;
    const { peerId } = provider;
    const { reason } = failure;
    metrics.peerFailures.inc({ reason });
    if (WRONG_RECORD.has(reason)) router.forget(this.#key, peerId);
    router.failed?.(this.#key, peerId);
    if (reason === 'digest') {
      this.#record(provider, { kind: 'digest-mismatch', noticed: 'held-back' });
    }
    if (reason === 'identity') shared.identityWarnings.warn(peerId, failure);
    logger.debug({ key: this.#key, peer: peerId, reason, err: failure }, 'peer did not deliver');
  }
}
