import type { Connection } from '@libp2p/interface';
import type { Logger } from 'pino';
import pLimit from 'p-limit';

import { ExpiringSet } from '../../timing/expiring-set.ts';
import { pause } from '../../timing/pause.ts';
import { Settling } from '../../timing/settling.ts';
import { Wakeup } from '../../timing/wakeup.ts';
import { closest } from '../dht/kademlia.ts';
import type { DhtClient } from '../dht/dht-client.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { dhtPeer } from '../node/membership.ts';
import { ConnectionBudget, NEAR } from './connection-budget.ts';
import type { NetworkScale } from './network-size.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';

/** Dials of neighbours at a time. */
const CONCURRENCY = 4;
/** How long one dial may take, in milliseconds: nodes that start together take seconds for a handshake. */
const DIAL_TIMEOUT_MS = 10_000;
/** The least pause between two dials of members that are no neighbours, in milliseconds. */
const MIN_PAUSE_MS = 100;
/** A dial is followed by a pause of so many times its duration: a busy machine dials seldom. */
const PAUSE_FACTOR = 10;
/** How often connections are counted, in milliseconds, and how soon when one too many was made. */
const COUNT_MS = 10_000;
const EXCEEDED = { quietMs: 250, maxMs: 1000 };
/** How long a peer may take from its answer until it is identified, in milliseconds. */
const IDENTIFYING_MS = 5000;
/** Maximum number of peers that are being identified. */
const MAX_IDENTIFYING = 1000;

/** Components of {@link Connector}. */
export interface ConnectorComponents {
  readonly self: DhtPeer;
  readonly node: RoutingNode;
  readonly membership: Pick<
    Membership,
    'members' | 'isConnected' | 'markUnresponsive' | 'onChange' | 'release'
  >;
  readonly client: Pick<DhtClient, 'ping'>;
  readonly scale: Pick<NetworkScale, 'isLarge' | 'size'>;
  readonly logger: Logger;
}

/**
 * Connects this node with members that others have named: with its neighbours in the key space at once, a few at a
 * time, so that each node knows those that keep the same records; then with others, one at a time, while it has fewer
 * connections than `maxConnections`: the next closest, then some of each bucket. A look-up is quicker over a connection
 * that is there. With too many some are ended, see {@link ConnectionBudget}; their peers stay members.
 */
export class Connector {
  readonly #components: ConnectorComponents;
  readonly #budget: ConnectionBudget;
  readonly #stopped = new AbortController();
  readonly #wakeup = new Wakeup();
  readonly #limit = pLimit(CONCURRENCY);
  /** Peers that have answered and are to become members by their connection. */
  readonly #identifying = new ExpiringSet(MAX_IDENTIFYING);
  /** A second at most after there is one connection too many. */
  readonly #exceeded = new Settling(EXCEEDED, () => {
    this.#endSome();
  });
  #running: Promise<void> | undefined;
  #counting: NodeJS.Timeout | undefined;

  constructor(components: ConnectorComponents, maxConnections: number) {
    this.#components = components;
    this.#budget = new ConnectionBudget(components, maxConnections);
  }

  start(): void {
    const { node, membership } = this.#components;
    membership.onChange(() => {
      this.#wakeup.call();
      if (this.#budget.isExceeded(node.getConnections().length)) this.#exceeded.call();
    });
    this.#running = this.#run();
    this.#counting = setInterval(() => {
      this.#endSome();
    }, COUNT_MS);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    clearInterval(this.#counting);
    this.#exceeded.stop();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const neighbours = this.#strangers(this.#budget.neighbours());
      if (neighbours.length > 0) {
        await Promise.all(neighbours.map((peer) => this.#limit(() => this.#dial(peer, signal))));
        continue;
      }
      const other = this.#other();
      if (other === undefined) {
        await this.#wakeup.wait(signal);
        continue;
      }
      const started = performance.now();
      await this.#dial(other, signal);
      const duration = performance.now() - started;
      await pause(Math.max(MIN_PAUSE_MS, PAUSE_FACTOR * duration), signal);
    }
  }

  #strangers(peers: readonly DhtPeer[]): DhtPeer[] {
    const { membership } = this.#components;
    return peers.filter(
      ({ text, multiaddrs }) =>
        multiaddrs !== undefined && !membership.isConnected(text) && !this.#identifying.has(text),
    );
  }

  /** A member that is to be connected next: one that is near, then one of the bucket with fewest connections. */
  #other(): DhtPeer | undefined {
    const { self, node, membership } = this.#components;
    if (!this.#budget.hasRoom(node.getConnections().length)) return undefined;
    const members = membership.members();
    const [near] = this.#strangers(closest(self.prefix, members, NEAR));
    return near ?? this.#budget.buckets().poorest(this.#strangers(members));
  }

  /** Ends connections when there are too many. */
  #endSome(): void {
    this.#end(this.#budget.excess(this.#components.node.getConnections()));
  }

  #end(connections: readonly Connection[]): void {
    const { node, membership, logger } = this.#components;
    const ending = new Set<string>();
    for (const connection of connections) {
      const { remotePeer } = connection;
      ending.add(connection.id);
      // Both may have dialled at the same time: while the other connection is there the peer stays what it is.
      const isLast = node.getConnections(remotePeer).every(({ id }) => ending.has(id));
      const peer = dhtPeer(remotePeer);
      // One that could not be dialled again stays, if it is a member.
      if (isLast && membership.isConnected(peer.text) && !membership.release(peer)) continue;
      connection.close().catch((err: unknown) => {
        logger.debug({ peerId: connection.remotePeer.toString(), err }, 'a connection did not end');
      });
    }
  }

  /** Never rejects: a peer that cannot be reached is no contact any more. */
  async #dial(peer: DhtPeer, signal: AbortSignal): Promise<void> {
    const { client, membership, logger } = this.#components;
    try {
      // A question, because a peer that does not speak the protocol is no member.
      await client.ping(peer, DIAL_TIMEOUT_MS, signal);
      this.#identifying.add(peer.text, IDENTIFYING_MS);
    } catch (err) {
      if (signal.aborted) return;
      membership.markUnresponsive(peer);
      logger.debug({ peerId: peer.text, err }, 'a contact cannot be reached');
    }
  }
}
