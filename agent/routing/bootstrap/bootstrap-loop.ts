import { networkInterfaces } from 'node:os';

import type { Multiaddr } from '@multiformats/multiaddr';
import type { Logger } from 'pino';
import { peerIdFromString } from '@libp2p/peer-id';
import pLimit from 'p-limit';

import type { AddressBook } from '../node/address-book.ts';
import { isLoopback, isRegistryAddress, tcpAddress } from '../node/announced-addresses.ts';
import { Backoff, jittered } from '../../timing/backoff.ts';
import { Deadline } from '../../timing/deadline.ts';
import { withPeerId } from '../dht/dht-client.ts';
import type { RoutingNode } from '../node/libp2p-node.ts';
import type { Bootstrapper, BootstrapPeer } from './bootstrapper.ts';

/** Between rounds when everybody is connected, give or take a quarter. */
const HEALTHY_INTERVAL_MS = 30_000;
/** Between rounds when we are alone or nobody can be reached. */
const ALONE_RETRY = { first: 250, max: 10_000 };
/** Between rounds when some peers cannot be reached: a few addresses may be dead for good. */
const PARTIAL_RETRY = { first: 500, max: HEALTHY_INTERVAL_MS };
/** After a peer has gone. */
const DISCONNECT_DELAY_MS = 1000;
const FIND_TIMEOUT_MS = 10_000;
/** A node that starts together with all others on a busy machine takes seconds to shake hands. */
const DIAL_TIMEOUT_MS = 10_000;
/** Dials at a time. */
const CONCURRENCY = 16;
/** Addresses that the status names. */
const MAX_TOLD = 100;

/** What {@link BootstrapLoop} works with. */
export interface BootstrapLoopComponents {
  readonly node: RoutingNode;
  readonly bootstrapper: Bootstrapper;
  /** Tells where the connected peers listen. */
  readonly addressBook: Pick<AddressBook, 'get'>;
  readonly logger: Logger;
}

/** How the bootstrap stands, for `RouterStatus`. */
export interface BootstrapStatus {
  /** A round has reached somebody, or found that there is nobody but ourselves; it stays true then. */
  readonly bootstrapped: boolean;
  /** Why the last round failed. */
  readonly error?: string;
  /** Peers that the last round was told of, this node apart. */
  readonly named: number;
  /** Those of them that could not be reached, with the reason; the first {@link MAX_TOLD}. */
  readonly unreached: readonly string[];
}

/**
 * Connects with every peer that the bootstrapper names, for as long as the node runs: a star of connections
 * would leave the routing tables incomplete for half a minute, and nodes come and go.
 */
export class BootstrapLoop {
  readonly #components: BootstrapLoopComponents;
  readonly #stopped = new AbortController();
  readonly #limit = pLimit(CONCURRENCY);
  readonly #aloneRetry = new Backoff(ALONE_RETRY);
  readonly #partialRetry = new Backoff(PARTIAL_RETRY);
  readonly #firstRound = Promise.withResolvers<undefined>();
  #timer: NodeJS.Timeout | undefined;
  #nextAt = Number.POSITIVE_INFINITY;
  #round: Promise<void> | undefined;
  #status: BootstrapStatus = { bootstrapped: false, named: 0, unreached: [] };
  #warnedOfTwin = false;

  constructor(components: BootstrapLoopComponents) {
    this.#components = components;
  }

  get status(): BootstrapStatus {
    return this.#status;
  }

  /** Resolves when all peers that are known at the start have been dialled once, whatever came of it. */
  get firstRound(): Promise<void> {
    return this.#firstRound.promise;
  }

  start(): void {
    this.#components.node.addEventListener('peer:disconnect', this.#onDisconnect);
    this.#schedule(0);
  }

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
      const candidates = peers.filter((peer) => !this.#isSelf(peer));
      others = candidates.length;
      unreached = await this.#connect(candidates);
      if (others > 0 && unreached.length === others) {
        failure = `none of ${String(others)} peers can be reached, ${unreached[0] ?? ''}`;
      }
    } catch (error) {
      failure = messageOf(error);
    }
    if (this.#stopped.signal.aborted) return;
    this.#tell(failure, others, unreached.slice(0, MAX_TOLD));
    this.#schedule(this.#pause(failure !== undefined || others === 0, unreached.length > 0));
  }

  #pause(alone: boolean, partial: boolean): number {
    if (alone) return this.#aloneRetry.next();
    this.#aloneRetry.reset();
    if (partial) return this.#partialRetry.next();
    this.#partialRetry.reset();
    return jittered(HEALTHY_INTERVAL_MS);
  }

  #tell(failure: string | undefined, named: number, unreached: readonly string[]): void {
    if (failure === undefined) {
      this.#status = { bootstrapped: true, named, unreached };
      return;
    }
    const { logger } = this.#components;
    if (this.#status.error === undefined) {
      logger.warn(
        { named },
        'the bootstrap reaches nobody, going on trying; /debug/status says whom it tried, and why not',
      );
    }
    logger.debug({ reason: failure }, 'the bootstrap has reached nobody');
    const { bootstrapped } = this.#status;
    this.#status = { bootstrapped, error: failure, named, unreached };
  }

  /** Dials those that are not connected; why it failed for each that could not be reached. */
  async #connect(peers: readonly BootstrapPeer[]): Promise<string[]> {
    const known = this.#connectedSockets();
    const failures: string[] = [];
    await Promise.all(
      shuffled(peers).map((peer) =>
        this.#limit(async () => {
          if (this.#stopped.signal.aborted || this.#isConnected(peer, known)) return;
          try {
            await this.#dial(peer);
          } catch (error) {
            if (isSelfDial(error)) {
              this.#warnOfTwin(peer);
              return;
            }
            failures.push(`${String(peer.multiaddrs[0])}: ${messageOf(error)}`);
          }
        }),
      ),
    );
    return failures;
  }

  async #dial(peer: BootstrapPeer): Promise<void> {
    const { peerId } = peer;
    using deadline = new Deadline(DIAL_TIMEOUT_MS, this.#stopped.signal);
    const addresses = peer.multiaddrs.filter((address) => !isRegistryAddress(address));
    const targets =
      peerId === undefined ? addresses : addresses.map((address) => withPeerId(address, peerId));
    await this.#components.node.dial(targets, { signal: deadline.signal });
  }

  /** A node with our identity answers at an address of another host: a copied data directory. */
  #warnOfTwin({ multiaddrs }: BootstrapPeer): void {
    const foreign = multiaddrs.find(isForeign);
    if (this.#warnedOfTwin || foreign === undefined) return;
    this.#warnedOfTwin = true;
    const { logger, node } = this.#components;
    logger.warn(
      { peerId: node.peerId.toString(), address: foreign.toString() },
      'another node seems to have the identity of this one, and the two do not find each other: remove private.key from the data directory of one of them and restart it',
    );
  }

  #isSelf({ peerId, multiaddrs }: BootstrapPeer): boolean {
    const { node } = this.#components;
    if (peerId !== undefined) return peerId === node.peerId.toString();
    const own = new Set(node.services.listening.addresses().map(socketOf));
    return multiaddrs.every((address) => own.has(socketOf(address)));
  }

  #isConnected({ peerId, multiaddrs }: BootstrapPeer, known: ReadonlySet<string>): boolean {
    if (peerId !== undefined) {
      return this.#components.node.getConnections(peerIdFromString(peerId)).length > 0;
    }
    return multiaddrs.some((address) => known.has(socketOf(address)));
  }

  /** Where the connected peers listen, also those that have connected with us from another port. */
  #connectedSockets(): Set<string> {
    const { node, addressBook } = this.#components;
    const sockets = new Set(node.getConnections().map(({ remoteAddr }) => socketOf(remoteAddr)));
    for (const peerId of node.getPeers()) {
      const known = addressBook.get(peerId.toString());
      for (const address of known?.multiaddrs ?? []) sockets.add(socketOf(address));
    }
    return sockets;
  }
}

/** `10.0.0.1/5001`; for an address of another form, its text. */
function socketOf(address: Multiaddr): string {
  const socket = tcpAddress(address);
  return socket === undefined ? address.toString() : `${socket.ip}/${String(socket.port)}`;
}

/** An address that we did not recognise as our own leads to ourselves. */
function isSelfDial(error: unknown): boolean {
  return error instanceof Error && /dial self/i.test(error.message);
}

/** Whether the address is an IP that this host does not have; of a name nobody can tell. */
function isForeign(address: Multiaddr): boolean {
  const ip = tcpAddress(address)?.ip;
  if (ip === undefined || isLoopback(ip)) return false;
  return !Object.values(networkInterfaces())
    .flat()
    .some((own) => own?.address === ip);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** So that nodes that start together do not all dial the same one first. */
function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ value }) => value);
}
