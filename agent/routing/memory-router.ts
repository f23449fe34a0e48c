import type { Provider, Router, RouterStatus } from './router.ts';

interface Announcement {
  readonly provider: Provider;
  /** Grows with each announcement, so that a forgotten one is told from a newer one. */
  readonly number: number;
}

/** The network of {@link MemoryRouter}s that share it: who holds which key. */
export class MemoryDirectory {
  readonly #keys = new Map<string, Map<string, Announcement>>();
  readonly #members = new Set<string>();
  #count = 0;

  join(peerId: string): void {
    this.#members.add(peerId);
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
    directory.join(self.peerId);
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
      const { peerId } = provider;
      if (peerId === this.#self.peerId || this.#forgotten.get(`${key} ${peerId}`) === number)
        continue;
      yield provider;
    }
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
}
