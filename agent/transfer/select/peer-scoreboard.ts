import type { Logger } from 'pino';

import type { Metrics } from '../../metrics/metrics.ts';
import type { Provider } from '../../routing/router.ts';
import { Blocklist } from './blocklist.ts';
import { choosePeer, type PeerWeights } from './choose-peer.ts';
import { isDigestOutcome, type DigestOutcome, type PeerOutcome } from './peer-outcome.ts';
import { PeerRecords } from './peer-records.ts';
import type { PeerScore } from './peer-score.ts';

/** A request to a peer that is in progress. Both functions must be called once each. */
export interface PeerRequest {
  /** The peer has answered, or the request has ended without an answer. */
  readonly answerEnds: () => void;
  /** The body has ended too, or there is none. */
  readonly bodyEnds: () => void;
}

/** Where digest mismatches are counted and logged. */
export interface PeerScoreboardComponents {
  readonly metrics: Pick<Metrics, 'digestMismatches'>;
  readonly logger: Logger;
}

/** Options of {@link PeerScoreboard}. */
export interface PeerScoreboardInit {
  /** The zone of this node. Default: empty, so that all peers are equally near. */
  readonly zone?: string;
  /** Milliseconds on a clock that never jumps. Default: `performance.now()`. */
  readonly now?: () => number;
  /** Gives a number from 0 up to, not including, 1. Default: `Math.random()`. */
  readonly random?: () => number;
}

/**
 * Whom to ask next, and whom not to ask: all that this node knows about the mirrors of its peers, in one record a peer
 * ({@link PeerRecord}), in memory alone.
 *
 * | part of the record | what it knows | for how long |
 * |---|---|---|
 * | responsiveness | the peer is late or silent; it lacks a key, or failed or was slow to deliver it | 10 s; 60 s when silent |
 * | score | busy, zone, load, throughput | busy 250 ms, load 5 s, the rest as long as the record |
 * | blocks | digest mismatches | six hours for the key, an hour for every key after three within a day |
 *
 * Every request reports what came of asking a peer by {@link record}, and gets the order in which to ask by
 * {@link rank}. What concerns one request alone stays with that request, see {@link PeerAttempts}: which peers it
 * has asked without success, which broke off once, and which are busy and are asked again.
 *
 * Two more places know peers not to ask, and both stay in `routing/` because they are about the DHT and not about
 * mirrors. `NegativeCache` knows single DHT records (peer and key) that proved wrong, and hides them from every lookup
 * until the peer provides the key again; a peer can hold other keys all the same. `Membership` knows peers that do not
 * answer DHT requests, which is another protocol on another port (5001): such a peer may well serve its mirror, and the
 * other way round.
 */
export class PeerScoreboard {
  readonly #records = new PeerRecords();
  readonly #blocklist: Blocklist;
  readonly #zone: string;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #weights: PeerWeights;

  constructor(
    { metrics, logger }: PeerScoreboardComponents,
    { zone = '', now = () => performance.now(), random = Math.random }: PeerScoreboardInit = {},
  ) {
    this.#zone = zone;
    this.#now = now;
    this.#random = random;
    this.#blocklist = new Blocklist({ records: this.#records, metrics, logger }, now);
    this.#weights = {
      isBusy: (peerId) => this.#score(peerId)?.isBusy(this.#now()) ?? false,
      nearness: (peerId) => this.#score(peerId)?.nearness(this.#zone) ?? 'unknown',
      load: (peerId) => this.#score(peerId)?.load(this.#now()) ?? 0,
      throughput: (peerId) => this.#score(peerId)?.throughput,
    };
  }

  /** The peers that sent wrong bytes. */
  get blocklist(): Pick<Blocklist, 'count' | 'status'> {
    return this.#blocklist;
  }

  /**
   * The order in which to ask the candidates for the key. Blocked peers are left out, and doubtful ones come last; among
   * equals {@link choosePeer} decides. The order is computed as far as it is read: most requests need the first alone.
   */
  *rank(candidates: readonly Provider[], key: string): Generator<Provider> {
    const allowed = candidates.filter(({ peerId }) => !this.isBlocked(peerId, key));
    const isDoubtful = ({ peerId }: Provider): boolean => this.isDoubtful(peerId, key);
    const groups = [allowed.filter((it) => !isDoubtful(it)), allowed.filter(isDoubtful)];
    for (const group of groups) {
      let next: Provider | undefined;
      while ((next = choosePeer(group, this.#weights, this.#random)) !== undefined) {
        yield next;
        group.splice(group.indexOf(next), 1);
      }
    }
  }

  /** Whether the peer must not be asked for the key, because of digest mismatches. */
  isBlocked(peerId: string, key: string): boolean {
    return this.#blocklist.has(peerId, key);
  }

  /** Whether other peers are asked for the key before this one, and no request waits for it alone. */
  isDoubtful(peerId: string, key: string): boolean {
    const record = this.#records.peek(peerId);
    return record?.responsiveness.isDoubtful(key, this.#now()) ?? false;
  }

  /**
   * The rate that is to be expected of the peer, in bytes a second: what was measured lately, or `unknown`; 0 when it is
   * busy. Whether it is doubtful plays no part: that is for {@link rank}.
   */
  rateOf(peerId: string, unknown: number): number {
    const now = this.#now();
    const score = this.#score(peerId);
    if (score?.isBusy(now) === true) return 0;
    return score?.recentThroughput(now) ?? unknown;
  }

  /** How often in a row the peer was silent, see {@link PeerResponsiveness.takeSilences}. */
  takeSilences(peerId: string): number {
    return this.#records.peek(peerId)?.responsiveness.takeSilences(this.#now()) ?? 0;
  }

  /** A request to the peer begins. */
  begin(peerId: string): PeerRequest {
    const begun = this.#records.update(peerId, ({ responsiveness, score }) => {
      responsiveness.startsWaiting();
      score.requestBegins();
    });
    return {
      answerEnds: () => {
        begun.responsiveness.stopsWaiting();
      },
      bodyEnds: () => {
        begun.score.requestEnds();
      },
    };
  }

  /** Records what came of asking a peer for the content of a key. */
  record(provider: Provider, key: string, outcome: PeerOutcome): void {
    if (isDigestOutcome(outcome)) {
      this.#recordDigest(provider, key, outcome);
      return;
    }
    const now = this.#now();
    this.#records.update(provider.peerId, ({ responsiveness, score }) => {
      if ('report' in outcome && outcome.report !== undefined) score.reported(outcome.report, now);
      switch (outcome.kind) {
        case 'answered':
          responsiveness.answered(key, true, now);
          break;
        case 'busy':
          responsiveness.answered(key, true, now);
          score.refused(now);
          break;
        case 'lacks':
          responsiveness.answered(key, false, now);
          break;
        case 'failed':
          responsiveness.answered(key, true, now);
          responsiveness.failed(key, now);
          break;
        case 'late':
          responsiveness.late(now);
          break;
        case 'silent':
          responsiveness.silent(now);
          break;
        case 'broke-off':
          responsiveness.failed(key, now);
          break;
        case 'delivered':
          score.delivered(outcome.bytes, outcome.milliseconds, now);
          break;
        case 'slow':
          responsiveness.failed(key, now);
          score.measured(outcome.rate, now);
          break;
      }
    });
  }

  #recordDigest(provider: Provider, key: string, outcome: DigestOutcome): void {
    switch (outcome.kind) {
      case 'digest-mismatch':
        this.#blocklist.mismatched(provider, key, outcome.noticed);
        break;
      case 'unverified':
        this.#blocklist.unverified(provider, key);
        break;
      case 'verified':
        this.#blocklist.verified(provider, key);
        break;
    }
  }

  #score(peerId: string): PeerScore | undefined {
    return this.#records.peek(peerId)?.score;
  }
}
