import type { Connection } from '@libp2p/interface';
import type { Logger } from 'pino';
import pLimit from 'p-limit';

import { ExpiringSet } from '../../timing/expiring-set.ts';
import { pause } from '../../timing/pause.ts';
import { Wakeup } from '../../timing/wakeup.ts';
import { closest } from '../dht/kademlia.ts';
import type { DhtClient } from '../dht/dht-client.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import { dhtPeer } from '../node/membership.ts';
import { ConnectionBuckets } from './connection-buckets.ts';
import type { NetworkScale } from './network-size.ts';
import type { DhtPeer, Membership } from '../node/membership.ts';

/** Members closest to this node that it is always connected with. They know the 20 closest of any key near this node. */
export const NEIGHBOURS = 32;
/**
 * Members closest to this node that it is connected with before others, and keeps before others. In a large network it is
 * always connected with them: they carry announcements to each other.
 */
export const NEAR = 64;
/** Dials of neighbours at a time. */
const CONCURRENCY = 4;
/** How long one dial may take, in milliseconds: nodes that start together take seconds for a handshake. */
const DIAL_TIMEOUT_MS = 10_000;
/** The least pause between two dials of members that are no neighbours, in milliseconds. */
const MIN_PAUSE_MS = 100;
/** A dial is followed by a pause of so many times its duration: a busy machine dials seldom. */
const PAUSE_FACTOR = 10;
/**
 * Parts of the maximum: above it some connections are ended until so many are left, and with fewer than that others are
 * made. In between nothing is done, so that two nodes do not end and make the same connection again and again.
 */
const LEFT = 0.9;
const TOO_FEW = 0.8;
/** With so many, connections that others have made are ended too: they may not keep to a budget. */
const FAR_TOO_MANY = 2;
/** How often connections are counted, in milliseconds. */
const COUNT_MS = 10_000;
/** Connections that are younger than this are not ended, in milliseconds. */
const MIN_AGE_MS = 60_000;
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
  readonly scale: Pick<NetworkScale, 'isLarge'>;
  readonly logger: Logger;
}

/**
 * Connects this node with members that others have named: with its neighbours in the key space at once, a few at a
 * time, so that each node knows those that keep the same records; then with others, one at a time, while it has fewer
 * connections than `maxConnections`: the next closest, then some of each bucket. A look-up is quicker over a connection
 * that is there. With too many, those that are no neighbours are ended, in the fullest bucket first and there the
 * oldest; their peers stay members.
 */
export class Connector {
  readonly #components: ConnectorComponents;
  readonly #maxConnections: number;
  readonly #stopped = new AbortController();
  readonly #wakeup = new Wakeup();
  readonly #limit = pLimit(CONCURRENCY);
  /** Peers that have answered and are to become members by their connection. */
  readonly #identifying = new ExpiringSet(MAX_IDENTIFYING);
  #running: Promise<void> | undefined;
  #counting: NodeJS.Timeout | undefined;

  constructor(components: ConnectorComponents, maxConnections: number) {
    this.#components = components;
    this.#maxConnections = maxConnections;
  }

  start(): void {
    this.#components.membership.onChange(() => {
      this.#wakeup.call();
    });
    this.#running = this.#run();
    this.#counting = setInterval(() => {
      this.#endSome();
    }, COUNT_MS);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    clearInterval(this.#counting);
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const neighbours = this.#strangers(this.#neighbours());
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

  #neighbours(): readonly DhtPeer[] {
    const { self, membership, scale } = this.#components;
    return closest(self.prefix, membership.members(), scale.isLarge ? NEAR : NEIGHBOURS);
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
    if (node.getConnections().length >= this.#maxConnections * TOO_FEW) return undefined;
    const members = membership.members();
    const [near] = this.#strangers(closest(self.prefix, members, NEAR));
    return near ?? this.#buckets().poorest(this.#strangers(members));
  }

  #buckets(): ConnectionBuckets {
    const { self, membership } = this.#components;
    const connected = membership.members().filter(({ text }) => membership.isConnected(text));
    return new ConnectionBuckets(self, connected);
  }

  /**
   * Ends connections when there are too many: those that this node has made. A connection that
   * another one has made may be with a neighbour of *that* node, which would make it again at once.
   */
  #endSome(): void {
    const { self, node, membership } = this.#components;
    const connections = node.getConnections();
    const tooMany = connections.length - Math.floor(this.#maxConnections * LEFT);
    if (connections.length <= this.#maxConnections) return;
    const isFarTooMany = connections.length > this.#maxConnections * FAR_TOO_MANY;
    const near = new Set(closest(self.prefix, membership.members(), NEAR).map(({ text }) => text));
    const kept = new Set(this.#neighbours().map(({ text }) => text));
    const endable = connections
      .filter(({ direction }) => direction === 'outbound' || isFarTooMany)
      .filter(({ remotePeer }) => !kept.has(remotePeer.toString()))
      .filter(({ timeline }) => Date.now() - timeline.open > MIN_AGE_MS)
      .sort((a, b) => a.timeline.open - b.timeline.open)
      .map((connection) => ({ connection, ...dhtPeer(connection.remotePeer) }));
    const far = endable.filter(({ text }) => !near.has(text));
    const last = endable.filter(({ text }) => near.has(text));
    const ended = [...this.#buckets().richest(far, tooMany), ...last].slice(0, tooMany);
    this.#end(ended.map(({ connection }) => connection));
  }

  #end(connections: readonly Connection[]): void {
    const { node, membership, logger } = this.#components;
    const ending = new Set<string>();
    for (const connection of connections) {
      const { remotePeer } = connection;
      ending.add(connection.id);
      // Both may have dialled at the same time: while the other connection is there the peer stays what it is.
      const isLast = node.getConnections(remotePeer).every(({ id }) => ending.has(id));
      if (isLast && !membership.release(dhtPeer(remotePeer))) continue;
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
