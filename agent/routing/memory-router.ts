import { createHash } from 'node:crypto';

import { closest, prefixOf } from './dht/kademlia.ts';
import { FrameError } from './dht/frames.ts';
import { routingKey } from './dht/key.ts';
import { endpointOf } from './lookup/provider-origins.ts';
import { leadsToNode } from './node/announced-addresses.ts';
import { NotAskedError, type QuestionHandler } from './questions/question-handler.ts';
import type { ClosestMember, Provider, Router, RouterStatus } from './router.ts';

interface Announcement {
  readonly provider: Provider;
  /** Grows with each announcement, so that `forget` can tell an announcement from a later one. */
  readonly number: number;
}

/** A node of a {@link MemoryNetwork}. */
export interface MemoryNode extends Provider {
  /** See `ClosestMember`; default none. */
  readonly protocols?: readonly string[];
}

/** The network of the {@link MemoryRouter}s that share it: which of them hold which key. */
export class MemoryNetwork {
  readonly #keys = new Map<string, Map<string, Announcement>>();
  readonly #nodes = new Map<string, MemoryNode>();
  readonly #handlers = new Map<string, readonly QuestionHandler[]>();
  readonly #listeners = new Set<() => void>();
  #count = 0;

  join(node: MemoryNode, questions: readonly QuestionHandler[] = []): void {
    this.#nodes.set(node.peerId, node);
    this.#handlers.set(node.peerId, questions);
    for (const listener of this.#listeners) listener();
  }

  onJoin(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get size(): number {
    return this.#nodes.size;
  }

  nodes(): readonly MemoryNode[] {
    return [...this.#nodes.values()];
  }

  node(peerId: string): MemoryNode | undefined {
    return this.#nodes.get(peerId);
  }

  /** What answers the questions of a protocol to a node. */
  handler(peerId: string, protocol: string): QuestionHandler | undefined {
    return this.#handlers.get(peerId)?.find((it) => it.protocol === protocol);
  }

  announce(key: string, provider: Provider): void {
    let providers = this.#keys.get(key);
    if (providers === undefined) {
      providers = new Map<string, Announcement>();
      this.#keys.set(key, providers);
    }
    providers.set(provider.peerId, { provider, number: ++this.#count });
  }

  retract(key: string, peerId: string): void {
    this.#keys.get(key)?.delete(peerId);
  }

  announcements(key: string): readonly Announcement[] {
    return [...(this.#keys.get(key)?.values() ?? [])];
  }
}

export interface MemoryRouterComponents {
  readonly network: MemoryNetwork;
  /** What other nodes may ask this one, and it them. Their protocols come to those of the node. Default: nothing. */
  readonly questions?: QuestionHandler | readonly QuestionHandler[];
}

/** A router without a real network, for tests. */
export class MemoryRouter implements Router {
  readonly #network: MemoryNetwork;
  readonly #self: Provider;
  readonly #questions: readonly QuestionHandler[];
  readonly #advertised = new Set<string>();
  /** Key and peer -> the announcement that was wrong. */
  readonly #forgotten = new Map<string, number>();

  constructor({ network, questions }: MemoryRouterComponents, self: MemoryNode) {
    this.#network = network;
    this.#self = { peerId: self.peerId, origins: self.origins };
    this.#questions = [questions ?? []].flat();
    const own = this.#questions.map(({ protocol }) => protocol);
    network.join({ ...self, protocols: [...(self.protocols ?? []), ...own] }, this.#questions);
  }

  advertise(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    for (const key of keys) {
      if (this.#advertised.has(key)) continue;
      this.#advertised.add(key);
      this.#network.announce(key, this.#self);
    }
    return Promise.resolve();
  }

  withdraw(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    for (const key of keys) {
      if (this.#advertised.delete(key)) this.#network.retract(key, this.#self.peerId);
    }
    return Promise.resolve();
  }

  isAdvertised(key: string): boolean {
    return this.#advertised.has(key);
  }

  async *lookup(key: string, signal?: AbortSignal): AsyncGenerator<Provider, void, undefined> {
    for (const { provider, number } of this.#network.announcements(key)) {
      await Promise.resolve();
      if (signal?.aborted === true) return;
      if (this.#isNamed(key, provider, number)) yield provider;
    }
  }

  known(key: string): readonly Provider[] {
    return this.#network
      .announcements(key)
      .filter(({ provider, number }) => this.#isNamed(key, provider, number))
      .map(({ provider }) => provider);
  }

  locate(peerId: string): Provider | undefined {
    const node = peerId === this.#self.peerId ? undefined : this.#network.node(peerId);
    return node && { peerId, origins: node.origins };
  }

  /** Each address with an IP is one of a node here, but for those of link-local networks. */
  accepts(origin: string): boolean {
    const endpoint = endpointOf(origin);
    return endpoint !== undefined && leadsToNode(endpoint, true);
  }

  self(): Provider {
    return this.#self;
  }

  async ask(
    peerId: string,
    message: Uint8Array,
    signal: AbortSignal,
    protocol = this.#questions[0]?.protocol ?? '',
  ): Promise<Uint8Array> {
    signal.throwIfAborted();
    const isAsked = this.#questions.some((it) => it.protocol === protocol);
    const handler = isAsked ? this.#network.handler(peerId, protocol) : undefined;
    if (handler === undefined) {
      throw new NotAskedError(`not connected with ${peerId}, or it speaks another protocol`);
    }
    if (message.length > handler.maxBytes) throw new FrameError('message too long');
    await Promise.resolve();
    signal.throwIfAborted();
    return handler.answer(this.#self.peerId, message);
  }

  forget(key: string, peerId: string): void {
    const wrong = this.#network
      .announcements(key)
      .find(({ provider }) => provider.peerId === peerId);
    if (wrong !== undefined) this.#forgotten.set(`${key} ${peerId}`, wrong.number);
  }

  closest(key: string, count: number): Promise<readonly ClosestMember[]> {
    const candidates = this.#network.nodes().map((node) => {
      const kadId = createHash('sha256').update(node.peerId).digest();
      return { node, prefix: prefixOf(kadId) };
    });
    const members = closest(routingKey(key).target, candidates, count).map(({ node }) => ({
      peerId: node.peerId,
      origins: node.origins,
      protocols: node.protocols ?? [],
      isSelf: node.peerId === this.#self.peerId,
    }));
    return Promise.resolve(members);
  }

  onMembersChange(listener: () => void): () => void {
    return this.#network.onJoin(listener);
  }

  status(): RouterStatus {
    return {
      peers: this.#network.size - 1,
      advertisedKeys: this.#advertised.size,
      records: this.#advertised.size,
      bootstrapped: true,
    };
  }

  #isNamed(key: string, { peerId }: Provider, number: number): boolean {
    return peerId !== this.#self.peerId && this.#forgotten.get(`${key} ${peerId}`) !== number;
  }
}
