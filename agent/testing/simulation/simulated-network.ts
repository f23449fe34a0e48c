import { generateKeyPair } from '@libp2p/crypto/keys';
import type { PrivateKey } from '@libp2p/interface';
import { peerIdFromPrivateKey } from '@libp2p/peer-id';

import { StaticBootstrapper } from '../../routing/bootstrap/static-bootstrapper.ts';
import type { Libp2pRouterInit } from '../../routing/create-router-parts.ts';
import { closest, kadIdOf, prefixOf } from '../../routing/dht/kademlia.ts';
import { routingKey } from '../../routing/dht/key.ts';
import { Libp2pRouter } from '../../routing/libp2p-router.ts';
import { silent } from '../test-network.ts';
import { LookupTrace } from './lookup-trace.ts';
import { SimulatedConnection } from './simulated-connection.ts';
import { SimulatedLinks } from './simulated-links.ts';
import { SimulatedNode } from './simulated-node.ts';
import type { TrafficByKind } from './traffic.ts';
import type { VirtualClock } from './virtual-clock.ts';
import { warmLinks } from './warm-links.ts';

/** Default of `spreadMs`. */
const DEFAULT_SPREAD_MS = 60_000;
const PORT = 5001;
/** Connections of a warm start that are made between two turns: at each turn all nodes look at their members anew. */
const BATCH = 10_000;

/** Options of {@link SimulatedNetwork}. */
export interface SimulatedNetworkInit {
  /** Nodes that start. */
  readonly count: number;
  /** One way between any two nodes, in milliseconds; default 0.5. */
  readonly delayMs?: number;
  /** Time in which they start, in milliseconds; default {@link DEFAULT_SPREAD_MS}. */
  readonly spreadMs?: number;
  /** Whether each node knows the addresses of all at its start. Default: that of the first node. */
  readonly toldOfAll?: boolean;
  /**
   * Whether they are connected from the beginning as in a network that has run for long, see {@link warmLinks}. Then all
   * start at once, and each is told of one that it is connected with. Default: each joins the network of those before it.
   */
  readonly isWarm?: boolean;
  /** Called after each start with the number of those that have started. */
  readonly onStarted?: (started: number) => void;
  /** Options of the routers. */
  readonly router?: Partial<Libp2pRouterInit>;
}

/** A router with the real code on a simulated node. */
export interface Member {
  readonly router: Libp2pRouter;
  readonly node: SimulatedNode;
}

/** What a look-up has found. */
export interface Lookup {
  readonly found: boolean;
  /** Rounds until the first provider, or until the end of a miss. */
  readonly rounds: number;
  /** Requests until then. */
  readonly requests: number;
  /** Virtual milliseconds until then. */
  readonly milliseconds: number;
}

/**
 * Any number of routers in one process: their real code, on nodes without sockets and on a virtual clock, which takes the
 * place of the real one until the network is disposed of.
 */
export class SimulatedNetwork implements Disposable {
  readonly links: SimulatedLinks;
  readonly #init: SimulatedNetworkInit;
  readonly #installed: Disposable;
  readonly #members: Member[] = [];
  #numbered = 0;

  private constructor(init: SimulatedNetworkInit) {
    this.#init = init;
    this.links = new SimulatedLinks(init.delayMs);
    this.#installed = this.clock.install();
  }

  /** Starts a network; resolves when all have started. */
  static async open(init: SimulatedNetworkInit): Promise<SimulatedNetwork> {
    const network = new SimulatedNetwork(init);
    const { count, spreadMs = DEFAULT_SPREAD_MS, toldOfAll = false, isWarm = false } = init;
    if (isWarm) {
      await network.#startWarm();
      return network;
    }
    const told = Array.from({ length: toldOfAll ? count : 1 }, (_, index) => addressOf(index + 1));
    for (let started = 0; started < count; started++) {
      await network.#start(told);
      await network.clock.run(spreadMs / count);
      init.onStarted?.(started + 1);
    }
    return network;
  }

  get clock(): VirtualClock {
    return this.links.clock;
  }

  /** The traffic of all nodes. */
  get byKind(): TrafficByKind {
    return this.links.byKind;
  }

  /** Those that are alive, in the order of their start. */
  get members(): readonly Member[] {
    return this.#members;
  }

  /** Starts one more node, which is told of the first one that is alive. */
  async add(): Promise<Member> {
    return this.#start(this.#members.slice(0, 1).map(({ node }) => String(node.address)));
  }

  /** The virtual time stands still meanwhile. */
  async #startWarm(): Promise<void> {
    const { count, onStarted } = this.#init;
    const keys: PrivateKey[] = [];
    while (keys.length < count) keys.push(await generateKeyPair('Ed25519'));
    const links = warmLinks(
      keys.map((key) => ({ prefix: prefixOf(kadIdOf(peerIdFromPrivateKey(key))) })),
    );
    const peers = new Map(
      links.flatMap(({ dialler, listener }) => [
        [dialler, listener],
        [listener, dialler],
      ]),
    );
    for (const [index, key] of keys.entries()) {
      const peer = peers.get(index);
      await this.#start(peer === undefined ? [] : [addressOf(peer + 1)], key);
      onStarted?.(index + 1);
    }
    for (const [made, { dialler, listener }] of links.entries()) {
      const [one, other] = [this.#members[dialler], this.#members[listener]];
      if (one && other) SimulatedConnection.establish(one.node, other.node);
      if (made % BATCH === 0) await this.clock.run(0);
    }
  }

  async #start(told: readonly string[], privateKey?: PrivateKey): Promise<Member> {
    const listen = [addressOf(++this.#numbered)];
    const made: { node?: SimulatedNode } = {};
    const router = new Libp2pRouter(
      {
        privateKey: privateKey ?? (await generateKeyPair('Ed25519')),
        bootstrapper: new StaticBootstrapper(told),
        createNode: (init) => {
          const node = new SimulatedNode(this.links, init);
          made.node = node;
          return Promise.resolve({ node: node.asNode, start: () => node.start() });
        },
        logger: silent,
      },
      { registryPort: 5000, ...this.#init.router, listen },
    );
    await router.start();
    if (made.node === undefined) throw new Error('the router has made no node');
    const member = { router, node: made.node };
    this.#members.push(member);
    return member;
  }

  /** Ends the processes of members, see {@link SimulatedLinks.kill}. */
  kill(members: readonly Member[]): void {
    for (const { node, router } of members) {
      this.links.kill(node);
      this.#forget(node);
      // Its code must not go on.
      void router.stop();
    }
  }

  /** Takes members off the network, see {@link SimulatedLinks.partition}. */
  partition(members: readonly Member[]): void {
    for (const { node } of members) {
      this.links.partition(node);
      this.#forget(node);
    }
  }

  /** Stops a node in order: it withdraws its records. */
  async stop(member: Member): Promise<void> {
    this.#forget(member.node);
    await member.router.stop();
  }

  #forget(node: SimulatedNode): void {
    const at = this.#members.findIndex((member) => member.node === node);
    if (at !== -1) this.#members.splice(at, 1);
  }

  /** Looks up a key at a member until the first provider, or until it is a miss. The clock must run meanwhile. */
  async lookUp({ router, node }: Member, key: string): Promise<Lookup> {
    const trace = new LookupTrace(key);
    node.traces.add(trace);
    const began = this.clock.now;
    const providers = router.lookup(key);
    const { done: isMiss } = await providers.next();
    await providers.return();
    node.traces.delete(trace);
    const { rounds, requests } = trace;
    return { found: isMiss !== true, rounds, requests, milliseconds: this.clock.now - began };
  }

  /** The member that is the closest to a key, of all that are alive. */
  closestTo(key: string): Member | undefined {
    const points = this.#members.map((member) => ({
      member,
      prefix: prefixOf(kadIdOf(member.node.peerId)),
    }));
    return closest(routingKey(key).target, points, 1)[0]?.member;
  }

  /** Restores the real clock. The routers are left as they are: their timers never fire. */
  [Symbol.dispose](): void {
    this.#installed[Symbol.dispose]();
  }
}

/** The address of the node with this number. */
function addressOf(number: number): string {
  const [high, low] = [1 + Math.floor(number / 250), 1 + (number % 250)];
  return `/ip4/10.1.${high}.${low}/tcp/${PORT}`;
}
