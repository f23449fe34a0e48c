import type { Logger } from 'pino';

import type { Metrics } from '../../metrics/metrics.ts';
import type { Provider, Router } from '../../routing/router.ts';
import type { AttemptSlots } from './attempt-slots.ts';
import type { Blocklist } from './blocklist.ts';
import { choosePeer } from './choose-peer.ts';
import { contentKey, type ContentRequest } from '../../oci/content-request.ts';
import type { KnownSizes } from './known-sizes.ts';
import type { FirstByteTimes } from './first-byte-times.ts';
import type { PeerClient, PeerResponse } from '../client/peer-client.ts';
import { PeerError, toPeerError, type PeerFailure } from '../client/peer-error.ts';
import type { PeerScores } from './peer-score.ts';
import type { PeerResponsiveness } from './peer-responsiveness.ts';
import type { ChunkSizes, ChunkPlan } from '../body/chunk-sizes.ts';
import { ProviderSearch, type SearchRouter } from './provider-search.ts';
import { destroyQuietly } from '../../streams/destroy-quietly.ts';

/**
 * Peers that may answer a request wrongly, or break off its body, before no more are asked. Those that do not
 * hold the content or are not there say nothing about the next, however many they are: time alone bounds them.
 */
const MAX_FAULTS = 32;

/** What is a fault of the peer, and not only of its record. */
const FAULTS: ReadonlySet<PeerFailure> = new Set(['status', 'range', 'protocol', 'digest']);

/** What is no answer at all; `body` when the connection ends before it. */
const SILENCE: ReadonlySet<PeerFailure> = new Set(['connect', 'timeout', 'body', 'tls']);

/** Failures of an address rather than of the peer; its certificate may be for another one. */
const OF_ADDRESS: ReadonlySet<PeerFailure> = new Set(['connect', 'tls']);

/** Addresses of one peer that are tried; a dual-stack node has two. */
const MAX_ORIGINS = 3;

/** What a peer has at the least to begin its answer, in milliseconds, however often it was silent. */
const LEAST_MS = 200;

/** What transfers ask of the directory; one that cannot tell where a peer is has no `locate`. */
export type TransferRouter = SearchRouter &
  Pick<Router, 'forget'> &
  Partial<Pick<Router, 'locate'>>;

/** What {@link PeerAttempts} work with; the last seven are shared by all requests. */
export interface PeerAttemptsComponents {
  readonly router: TransferRouter;
  readonly client: PeerClient;
  readonly metrics: Metrics;
  readonly logger: Logger;
  readonly bans: Blocklist;
  readonly standing: PeerResponsiveness;
  readonly slots: AttemptSlots;
  readonly sizes: KnownSizes;
  readonly pieceLengths: Pick<ChunkSizes, 'begin'>;
  readonly profiles: PeerScores;
  readonly firstBytes: Readonly<Record<ContentRequest['method'], FirstByteTimes>>;
}

/** Bounds of the search for providers, see {@link ProviderSearch}, and of what is asked of them. */
export interface PeerAttemptsInit {
  readonly resolveTimeout: number;
  readonly resolveRetries: number;
  /** How long a peer has to begin its answer, in milliseconds; less when it was silent the last time. */
  readonly firstByteBudget: number;
}

/** What one request has learnt of the peers that it asked, and what it tells the directory and the others. */
export class PeerAttempts {
  readonly request: ContentRequest;
  readonly slots: AttemptSlots;
  /** What of a body to ask peers for. */
  readonly pieces: ChunkPlan;
  readonly #components: PeerAttemptsComponents;
  readonly #init: PeerAttemptsInit;
  readonly #key: string;
  /** Peer IDs of those that are not to be asked again for this request, and why. */
  readonly #failed = new Map<string, PeerFailure>();
  /** Those that broke off once after they had delivered, and may be asked once more. */
  readonly #forgiven = new Set<string>();
  #faults = 0;
  #anyAsked = false;
  #anyBusy = false;
  #unsatisfiable = false;

  constructor(request: ContentRequest, components: PeerAttemptsComponents, init: PeerAttemptsInit) {
    this.request = request;
    this.slots = components.slots;
    this.pieces = components.pieceLengths.begin(request);
    this.#components = components;
    this.#init = init;
    this.#key = contentKey(request);
  }

  /** Whether so many peers have answered wrongly that asking more of them makes no sense. */
  get exhausted(): boolean {
    return this.#faults >= MAX_FAULTS;
  }

  /** Whether any peer has been asked. */
  get anyAsked(): boolean {
    return this.#anyAsked;
  }

  /** Whether any peer has said that it has the content and too much to do. */
  get anyBusy(): boolean {
    return this.#anyBusy;
  }

  /** Whether a holder has said that the range which was asked for does not exist. */
  get unsatisfiable(): boolean {
    return this.#unsatisfiable;
  }

  /** Begins to look for providers that have not failed yet. */
  search(onArrival: () => void, signal: AbortSignal): ProviderSearch {
    const { router, metrics } = this.#components;
    const onFirst = (seconds: number): void => {
      metrics.resolveDuration.observe({ router: 'libp2p' }, seconds);
    };
    const init = {
      timeout: this.#init.resolveTimeout,
      retries: this.#init.resolveRetries,
      excluded: { has: (peerId: string) => this.#isExcluded(peerId) },
      choose: (candidates: readonly Provider[]) => this.choose(candidates),
      onFirst,
      onArrival,
    };
    return new ProviderSearch(router, this.#key, init, signal);
  }

  /** The best of them to ask. */
  choose(candidates: readonly Provider[]): Provider | undefined {
    return choosePeer(candidates, this.#components.profiles);
  }

  /** A peer without an answer for so many milliseconds is late, by what others took lately. */
  lateAfter(method: ContentRequest['method']): number {
    return this.#components.firstBytes[method].lateAfter;
  }

  /** Counts what became of the peers that were asked beside a late one. */
  hedged(result: 'won' | 'lost'): void {
    this.#components.metrics.hedges.inc({ result });
  }

  /** Whether others are to be asked before the peer, and nobody is to wait for it. */
  isDoubtful({ peerId }: Provider): boolean {
    return this.#components.standing.isDoubtful(peerId, this.#key);
  }

  /**
   * Asks a peer at its addresses in turn; another address helps only when the first cannot be reached.
   *
   * @param request our request, or what is asked of a peer in its place; the range is that of a GET
   * @throws PeerError
   */
  async ask(
    provider: Provider,
    request: ContentRequest,
    signal: AbortSignal,
  ): Promise<PeerResponse> {
    const { peerId } = provider;
    const { standing, profiles, firstBytes } = this.#components;
    // Nobody is held up by a busy peer, and it may be the only one that has it; but who falls silent time and
    // again must not cost every layer of an image all the time there is.
    const silences = standing.silences(peerId);
    const isPatient = silences === 0 || this.pieces.isLater;
    const within = isPatient ? this.#init.firstByteBudget : this.#patience(provider, silences);
    this.#anyAsked = true;
    standing.asking(peerId);
    profiles.begins(peerId);
    const ends = (): void => {
      profiles.ends(peerId);
    };
    const start = performance.now();
    try {
      const response = await this.#askAtAddresses(provider, request, within, signal);
      this.#checkSize(response);
      firstBytes[request.method].note(performance.now() - start);
      standing.answered(peerId, this.#key, true);
      profiles.reported(peerId, response.report);
      if (request.method === 'GET' && !response.body.closed) response.body.once('close', ends);
      else ends();
      return response;
    } catch (error) {
      ends();
      throw error;
    } finally {
      standing.asked(peerId);
    }
  }

  #checkSize({ descriptor: { digest, size }, body }: PeerResponse): void {
    const known = this.#components.sizes.of(digest);
    if (known === undefined || known === size) return;
    destroyQuietly(body);
    throw new PeerError('protocol', 'another length than the manifest says');
  }

  /** What a peer that was silent so often has for each of its addresses. */
  #patience({ origins }: Provider, silences: number): number {
    const { headTimeout } = this.#components.client;
    const lessened = Math.max(LEAST_MS, headTimeout / 4 ** (silences - 1));
    return Math.min(headTimeout, lessened) / Math.min(origins.length, MAX_ORIGINS);
  }

  /** Notes that the peer has not answered yet, though it should have: nobody waits for it until it does. */
  late({ peerId }: Provider): void {
    this.#components.standing.late(peerId);
  }

  /** Notes that the peer has the content and too much to do; it may be asked again. */
  busy(provider: Provider, failure: PeerError): void {
    const { standing, profiles } = this.#components;
    standing.answered(provider.peerId, this.#key, true);
    if (failure.report !== undefined) profiles.reported(provider.peerId, failure.report);
    profiles.refused(provider.peerId);
    this.#anyBusy = true;
    this.#report(provider, failure);
  }

  /**
   * The peers that a busy one names as holders. A name is taken as a hint and nothing else: where the peer is, and
   * whether it is one, comes from our own directory.
   */
  alternatives({ report }: PeerError): Provider[] {
    return (report?.alternatives ?? [])
      .filter((peerId) => !this.#isExcluded(peerId))
      .map((peerId) => this.#components.router.locate?.(peerId))
      .filter((provider) => provider !== undefined);
  }

  /** Notes that the peer did not answer well. */
  missed(provider: Provider, error: unknown): void {
    const failure = toPeerError(error, 'body');
    const { standing, profiles } = this.#components;
    if (failure.report !== undefined) profiles.reported(provider.peerId, failure.report);
    if (SILENCE.has(failure.reason)) standing.silent(provider.peerId);
    else standing.answered(provider.peerId, this.#key, failure.reason !== 'not-found');
    if (FAULTS.has(failure.reason)) {
      this.#faults += 1;
      if (failure.reason !== 'range') standing.failed(provider.peerId, this.#key);
    }
    this.#unsatisfiable ||= failure.reason === 'range';
    this.#failed.set(provider.peerId, failure.reason);
    this.#report(provider, failure);
  }

  /**
   * Notes that what the peer delivered broke off, or was wrong.
   *
   * @param delivered whether it had delivered a part: a connection that broke off is forgiven once then
   */
  broke(provider: Provider, error: unknown, delivered = false): void {
    const failure = toPeerError(error, 'body');
    this.#faults += 1;
    this.#components.standing.failed(provider.peerId, this.#key);
    if (delivered && failure.reason === 'body' && !this.#forgiven.has(provider.peerId)) {
      this.#forgiven.add(provider.peerId);
    } else {
      this.#failed.set(provider.peerId, failure.reason);
    }
    this.#report(provider, failure);
  }

  /** Has those asked again that did not answer or broke off: where nobody else is left, they may be all there is. */
  forgive(): void {
    for (const [peerId, reason] of this.#failed)
      if (SILENCE.has(reason)) this.#failed.delete(peerId);
  }

  /** Notes how fast a body came, of which so many bytes arrived while it was waited for. */
  delivered({ peerId }: Provider, bytes: number, milliseconds: number): void {
    this.#components.profiles.delivered(peerId, bytes, milliseconds);
  }

  async #askAtAddresses(
    { origins }: Provider,
    request: ContentRequest,
    within: number,
    signal: AbortSignal,
  ): Promise<PeerResponse> {
    let failure = new PeerError('connect', 'no address');
    for (const origin of origins.slice(0, MAX_ORIGINS)) {
      try {
        return await this.#components.client.fetch(origin, request, within, signal);
      } catch (error) {
        failure = toPeerError(error, 'connect');
        if (signal.aborted || !OF_ADDRESS.has(failure.reason)) break;
      }
    }
    throw failure;
  }

  #isExcluded(peerId: string): boolean {
    return this.#failed.has(peerId) || this.#components.bans.has(peerId, this.#key);
  }

  /** Counts and logs the failure, and tells the directory when its record is wrong. */
  #report(provider: Provider, failure: PeerError): void {
    const { router, metrics, bans, logger } = this.#components;
    const { peerId } = provider;
    const key = this.#key;
    metrics.peerFailures.inc({ reason: failure.reason });
    if (failure.reason === 'not-found' || failure.reason === 'digest') router.forget(key, peerId);
    const fields = { key, peer: peerId, reason: failure.reason, err: failure };
    if (failure.reason === 'digest') bans.offence(provider, key, 'held-back');
    logger.debug(fields, 'peer did not deliver');
  }
}
