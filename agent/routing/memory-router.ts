import type { Provider, Router, RouterStatus } from './router.ts';

interface Announcement {
  readonly provider: Provider;
  /** Grows with each announcement, so that a forgotten one is told from a newer one. */
  readonly number: number;
}

/** The network of {@link MemoryRouter}s that share it: who holds which key. */
export class MemoryDirectory {
  readonly #keys = new Map<string, Map<string, Announcement>>();
  readonly #members = new Map<string, Provider>();
  #count = 0;

  join(provider: Provider): void {
    this.#members.set(provider.peerId, provider);
  }

  get size(): number {
    return this.#members.size;
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

  member(peerId: string): Provider | undefined {
    return this.#members.get(peerId);
  }

  announcements(key: string): readonly Announcement[] {
    return [...(this.#keys.get(key)?.values() ?? [])];
  }
}

/** What {@link MemoryRouter} works with. */
export interface MemoryRouterComponents {
  readonly directory: MemoryDirectory;
}

/** A router without a network, for tests. */
export class MemoryRouter implements Router {
  readonly #directory: MemoryDirectory;
  readonly #self: Provider;
  readonly #advertised = new Set<string>();
  /** Key and peer -> the announcement that was wrong. */
  readonly #forgotten = new Map<string, number>();

  constructor({ directory }: MemoryRouterComponents, self: Provider) {
    this.#directory = directory;
    this.#self = self;
    directory.join(self);
  }

  advertise(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    for (const key of keys) {
      if (this.#advertised.has(key)) continue;
      this.#advertised.add(key);
      this.#directory.announce(key, this.#self);
    }
    return Promise.resolve();
  }

  withdraw(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error);
    for (const key of keys) {
      if (this.#advertised.delete(key)) this.#directory.retract(key, this.#self.peerId);
    }
    return Promise.resolve();
  }

  async *lookup(key: string, signal?: AbortSignal): AsyncGenerator<Provider, void, undefined> {
    for (const { provider, number } of this.#directory.announcements(key)) {
      await Promise.resolve();
      if (signal?.aborted === true) return;
      if (this.#isNamed(key, provider, number)) yield provider;
    }
  }

  known(key: string): readonly Provider[] {
    return this.#directory
      .announcements(key)
      .filter(({ provider, number }) => this.#isNamed(key, provider, number))
      .map(({ provider }) => provider);
  }

  locate(peerId: string): Provider | undefined {
    return peerId === this.#self.peerId ? undefined : this.#directory.member(peerId);
  }

  forget(key: string, peerId: string): void {
    const wrong = this.#directory
      .announcements(key)
      .find(({ provider }) => provider.peerId === peerId);
    if (wrong !== undefined) this.#forgotten.set(`${key} ${peerId}`, wrong.number);
  }

  status(): RouterStatus {
    return {
      peers: this.#directory.size - 1,
      advertisedKeys: this.#advertised.size,
      records: this.#advertised.size,
      bootstrapped: true,
    };
  }

  #isNamed(key: string, { peerId }: Provider, number: number): boolean {
    return peerId !== this.#self.peerId && this.#forgotten.get(`${key} ${peerId}`) !== number;
  }
}
