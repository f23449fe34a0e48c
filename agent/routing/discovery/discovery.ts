import { Backoff } from '../../timing/backoff.ts';
import { Deadline } from '../../timing/deadline.ts';
import { isAborted, pause } from '../../timing/pause.ts';
import { Wakeup } from '../../timing/wakeup.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';
import { NodeLookup } from './node-lookup.ts';
import type { NodeLookupComponents } from './node-lookup.ts';
import { sweepRegions } from './region-sweep.ts';

/** Pauses between two sweeps: short ones while the cluster starts, long ones later. */
const PAUSES = { first: 1000, max: 10 * 60_000 };
/** With more members than this the short pauses are longer in proportion: most questions there need a new connection. */
const MANY_MEMBERS = 100;
/** A pause between two look-ups of a sweep, so that a large network is swept without haste. */
const STEP_PAUSE_MS = 20;
/** Part of the members that must be new in a sweep for the next one to follow as soon. */
const MUCH_NEWS = 0.1;
/** Growth of the membership that ends the pause, as when the bootstrap reaches the network late. */
const MUCH_GROWTH = 1.5;

export interface DiscoveryComponents extends NodeLookupComponents {
  readonly self: DhtPeer;
  readonly membership: NodeLookupComponents['membership'] & Pick<Membership, 'onChange'>;
}

/**
 * Learns of all members, from one that is known: the closest to this node first, then region by region. A node that
 * bootstraps from one address knows the network after that.
 */
export class Discovery {
  readonly #components: DiscoveryComponents;
  readonly #lookup: NodeLookup;
  readonly #stopped = new AbortController();
  readonly #firstSweep = Promise.withResolvers<undefined>();
  #running: Promise<void> | undefined;

  constructor(components: DiscoveryComponents) {
    this.#components = components;
    this.#lookup = new NodeLookup(components);
  }

  /** Resolves when this node has looked for all members once. */
  get firstSweep(): Promise<void> {
    return this.#firstSweep.promise;
  }

  /** @param joined the first sweep begins when it resolves: the first peers are known */
  start(joined: Promise<void>): void {
    this.#running = joined.then(() => this.#run());
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#firstSweep.resolve(undefined);
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    const { membership } = this.#components;
    const backoff = new Backoff(PAUSES);
    const grown = new Wakeup();
    let swept = 0;
    membership.onChange(() => {
      if (membership.members().length > swept * MUCH_GROWTH) grown.call();
    });
    while (!isAborted(signal)) {
      const learnt = await this.#sweep(signal);
      this.#firstSweep.resolve(undefined);
      swept = membership.members().length;
      if (learnt > swept * MUCH_NEWS) backoff.reset();
      const pauseMs = Math.min(PAUSES.max, backoff.next() * Math.max(1, swept / MANY_MEMBERS));
      using longest = new Deadline(pauseMs, signal);
      await grown.wait(longest.signal);
    }
  }

  /** How many members were new. */
  async #sweep(signal: AbortSignal): Promise<number> {
    const { self } = this.#components;
    // The neighbourhood first: this node is to keep its records.
    let { learnt } = await this.#lookup.find(self.id.toMultihash().bytes, signal);
    await sweepRegions(async (key) => {
      await pause(STEP_PAUSE_MS, signal);
      const found = await this.#lookup.find(key, signal);
      learnt += found.learnt;
      return found.peers;
    }, signal);
    return learnt;
  }
}
