import type { Provider } from '../../routing/router.ts';
import type { PeerFailure } from '../client/peer-error.ts';
import { isFault, isSilence } from './peer-outcome.ts';

/**
 * Peers that may answer a request wrongly, or break off its body, before no more are asked. Peers that do not hold the
 * content or are not there do not count: they say nothing about the next peer, and time alone limits them.
 */
const MAX_FAULTS = 32;

/**
 * What came of a request so far that no peer has served: no peer was asked; those that were asked failed; a holder was
 * busy; or a holder answered that the requested range does not exist.
 */
export type RequestProgress = 'none-asked' | 'asked' | 'busy' | 'unsatisfiable';

/** A request keeps the one of these that comes last. */
const PROGRESS: readonly RequestProgress[] = ['none-asked', 'asked', 'busy', 'unsatisfiable'];

/**
 * What one request knows about a peer that it asked.
 *
 * `may-ask`: it may be asked again. `busy`: it holds the content and refused; it is asked again after a while.
 * `failed`: it is not asked again.
 */
type PeerState = {
  /** Whether a body of it has broken off before: a second time counts as failed. */
  readonly brokeOff: boolean;
} & (
  | { readonly kind: 'may-ask' }
  | { readonly kind: 'busy'; readonly provider: Provider }
  | { readonly kind: 'failed'; readonly reason: PeerFailure }
);

/**
 * What one request has learnt about the peers that it asked. It ends with the request; other requests may still ask
 * a peer that failed here.
 */
export class RequestPeers {
  readonly #peers = new Map<string, PeerState>();
  #faults = 0;
  #progress: RequestProgress = 'none-asked';

  /** Whether too many peers have answered wrongly, so that no more are asked. */
  get exhausted(): boolean {
    return this.#faults >= MAX_FAULTS;
  }

  /** What came of the request so far, while no peer has served it. */
  get progress(): RequestProgress {
    return this.#progress;
  }

  /** Whether the peer is not asked again for this request. */
  hasFailed(peerId: string): boolean {
    return this.#peers.get(peerId)?.kind === 'failed';
  }

  /** Records that a peer is asked. */
  asked(): void {
    this.#reached('asked');
  }

  /** Records that the peer did not answer well: it is not asked again. */
  failed(peerId: string, reason: PeerFailure): void {
    if (isFault(reason)) this.#faults += 1;
    if (reason === 'range') this.#reached('unsatisfiable');
    this.#fail(peerId, reason);
  }

  /**
   * Records that the body of the peer broke off, or was wrong.
   *
   * @param delivered whether a part of it came: then a connection may break once, and the peer may be asked again
   */
  brokeOff(peerId: string, reason: PeerFailure, delivered: boolean): void {
    this.#faults += 1;
    if (delivered && reason === 'body' && !this.#brokeOff(peerId)) {
      this.#peers.set(peerId, { brokeOff: true, kind: 'may-ask' });
    } else {
      this.#fail(peerId, reason);
    }
  }

  /** Records that the peer holds the content and is busy. */
  busy(provider: Provider): void {
    const { peerId } = provider;
    const brokeOff = this.#brokeOff(peerId);
    this.#reached('busy');
    this.#peers.delete(peerId);
    this.#peers.set(peerId, { brokeOff, kind: 'busy', provider });
  }

  /** Whether any peer is busy, and has not been taken by {@link takeBusy}. */
  get hasBusy(): boolean {
    return this.#peers.values().some(({ kind }) => kind === 'busy');
  }

  /** The busy peers, the one that answered first as the first. From now on they may be asked again. */
  takeBusy(): Provider[] {
    const taken: Provider[] = [];
    for (const [peerId, state] of this.#peers) {
      if (state.kind !== 'busy') continue;
      taken.push(state.provider);
      this.#peers.set(peerId, { brokeOff: state.brokeOff, kind: 'may-ask' });
    }
    return taken;
  }

  /** Lets the peers be asked again that did not answer, or whose connection broke. */
  forgetSilence(): void {
    for (const [peerId, state] of this.#peers) {
      if (state.kind !== 'failed' || !isSilence(state.reason)) continue;
      this.#peers.set(peerId, { brokeOff: state.brokeOff, kind: 'may-ask' });
    }
  }

  /** Lets peers be asked again whose answers were found wrong by mistake. Returns whether there are any. */
  mayAskAgain(peerIds: readonly string[]): boolean {
    for (const peerId of peerIds) {
      const state = this.#peers.get(peerId);
      if (state?.kind !== 'failed') continue;
      if (isFault(state.reason)) this.#faults -= 1;
      this.#peers.set(peerId, { brokeOff: state.brokeOff, kind: 'may-ask' });
    }
    return peerIds.length > 0;
  }

  #fail(peerId: string, reason: PeerFailure): void {
    this.#peers.set(peerId, { brokeOff: this.#brokeOff(peerId), kind: 'failed', reason });
  }

  #reached(progress: RequestProgress): void {
    if (PROGRESS.indexOf(progress) > PROGRESS.indexOf(this.#progress)) this.#progress = progress;
  }

  #brokeOff(peerId: string): boolean {
    return this.#peers.get(peerId)?.brokeOff ?? false;
  }
}
