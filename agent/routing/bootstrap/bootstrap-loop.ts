import type { Logger } from 'pino';

import { Backoff, jittered } from '../../timing/backoff.ts';
import { Deadline } from '../../timing/deadline.ts';
import type { AddressBook } from '../node/address-book.ts';
import type { AddressPolicy } from '../node/address-policy.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { BootstrapDialer } from './bootstrap-dialer.ts';
import type { Bootstrapper } from './bootstrapper.ts';

/** Time between rounds when no peer failed, in milliseconds; jittered. */
const HEALTHY_INTERVAL_MS = 30_000;
/** Backoff when no other peer is known or none can be reached, in milliseconds. */
const ALONE_RETRY = { first: 250, max: 10_000 };
/** Backoff when some peers cannot be reached, in milliseconds; a few addresses may be dead for good. */
const PARTIAL_RETRY = { first: 500, max: HEALTHY_INTERVAL_MS };
/** Time from the loss of a peer to the next round, in milliseconds; jittered. */
const DISCONNECT_DELAY_MS = 1000;
/** How long the bootstrapper may take to find the peers, in milliseconds. */
const FIND_TIMEOUT_MS = 10_000;
/** Upper bound for the unreached addresses in the status. */
const MAX_UNREACHED = 100;

/** Components of {@link BootstrapLoop}. */
export interface BootstrapLoopComponents {
  readonly node: RoutingNode;
  readonly bootstrapper: Bootstrapper;
  /** The addresses at which connected peers listen. */
  readonly addressBook: Pick<AddressBook, 'get'>;
  readonly policy: Pick<AddressPolicy, 'allows' | 'configure'>;
  readonly logger: Logger;
}

/** State of the bootstrap, for `RouterStatus`. */
export interface BootstrapStatus {
  /** Whether a round has reached a peer, or found that there are no others. It never becomes false again. */
  readonly bootstrapped: boolean;
  /** Why the last round failed; absent when it succeeded. */
  readonly error?: string;
  /** Peers that the bootstrapper named in the last round, without this node. */
  readonly named: number;
  /** The peers that could not be reached, with the reasons; at most {@link MAX_UNREACHED}. */
  readonly unreached: readonly string[];
}

/**
 * Keeps the node connected with some of the peers that the bootstrapper names, in rounds, until it is stopped.
 * `Discovery` finds the others.
 */
export class BootstrapLoop {
  readonly #components: BootstrapLoopComponents;
  readonly #stopped = new AbortController();
  readonly #dialer: BootstrapDialer;
  readonly #aloneRetry = new Backoff(ALONE_RETRY);
  readonly #partialRetry = new Backoff(PARTIAL_RETRY);
  readonly #firstRound = Promise.withResolvers<undefined>();
  #timer: NodeJS.Timeout | undefined;
  #nextAt = Number.POSITIVE_INFINITY;
  #round: Promise<void> | undefined;
  #status: BootstrapStatus = { bootstrapped: false, named: 0, unreached: [] };

  constructor(components: BootstrapLoopComponents) {
    this.#components = components;
    this.#dialer = new BootstrapDialer(components);
  }

  /** The state after the last round. */
  get status(): BootstrapStatus {
    return this.#status;
  }

  /** Resolves when the first round has ended, with or without success. */
  get firstRound(): Promise<void> {
    return this.#firstRound.promise;
  }

  /** Begins the first round. */
  start(): void {
    this.#components.node.addEventListener('peer:disconnect', this.#onDisconnect);
    this.#schedule(0);
  }

  /** Ends the round that is under way; there is no other. */
  async stop(): Promise<void> {
    this.#components.node.removeEventListener('peer:disconnect', this.#onDisconnect);
    this.#stopped.abort();
    clearTimeout(this.#timer);
    await this.#round;
  }

  readonly #onDisconnect = (): void => {
    const delay = jittered(DISCONNECT_DELAY_MS);
    if (this.#round === undefined && performance.now() + delay < this.#nextAt)
      this.#schedule(delay);
  };

  #schedule(delay: number): void {
    if (this.#stopped.signal.aborted) return;
    clearTimeout(this.#timer);
    this.#nextAt = performance.now() + delay;
    this.#timer = setTimeout(() => {
      this.#round = this.#run().finally(() => {
        this.#round = undefined;
        this.#firstRound.resolve(undefined);
      });
    }, delay);
  }

  async #run(): Promise<void> {
    let others = 0;
    let failure: string | undefined;
    let unreached: readonly string[] = [];
    try {
      using deadline = new Deadline(FIND_TIMEOUT_MS, this.#stopped.signal);
      const peers = await this.#components.bootstrapper.find(deadline.signal);
      const candidates = peers.filter((peer) => !this.#dialer.isSelf(peer));
      others = candidates.length;
      unreached = await this.#dialer.connect(candidates, this.#stopped.signal);
      const isAlone = unreached.length > 0 && this.#components.node.getPeers().length === 0;
      if (others > 0 && (unreached.length === others || isAlone)) {
        failure = `none of ${String(others)} peers can be reached, ${unreached[0] ?? ''}`;
      }
    } catch (error) {
      failure = messageOf(error);
    }
    if (this.#stopped.signal.aborted) return;
    this.#report(failure, others, unreached.slice(0, MAX_UNREACHED));
    this.#schedule(this.#pause(failure !== undefined || others === 0, unreached.length > 0));
  }

  #pause(alone: boolean, partial: boolean): number {
    if (alone) return this.#aloneRetry.next();
    this.#aloneRetry.reset();
    if (partial) return this.#partialRetry.next();
    this.#partialRetry.reset();
    return jittered(HEALTHY_INTERVAL_MS);
  }

  #report(failure: string | undefined, named: number, unreached: readonly string[]): void {
    if (failure === undefined) {
      const { logger, node } = this.#components;
      const peers = node.getPeers().length;
      if (this.#status.error !== undefined && peers > 0) {
        logger.info({ peers }, 'the bootstrap reaches peers now');
      }
      this.#status = { bootstrapped: true, named, unreached };
      return;
    }
    const { logger } = this.#components;
    if (this.#status.error === undefined) {
      logger.warn(
        { named },
        'the bootstrap reaches no peer and tries again; /debug/status has the addresses and the reasons',
      );
    }
    logger.debug({ reason: failure }, 'the bootstrap has reached no peer');
    const { bootstrapped } = this.#status;
    this.#status = { bootstrapped, error: failure, named, unreached };
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
