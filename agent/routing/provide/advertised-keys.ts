import type { RoutingKey } from '../dht/key.ts';
import type { LookupKeys } from '../dht/lookup-keys.ts';

/** What has become of the keys of a name. */
export interface KeyChange {
  /** To be provided. */
  readonly added: readonly RoutingKey[];
  /** To be withdrawn. */
  readonly removed: readonly RoutingKey[];
}

/** The names that this node advertises, and the keys under which each is provided at present. */
export class AdvertisedKeys {
  readonly #lookupKeys: Pick<LookupKeys, 'of'>;
  readonly #names = new Map<string, readonly RoutingKey[]>();

  constructor(lookupKeys: Pick<LookupKeys, 'of'>) {
    this.#lookupKeys = lookupKeys;
  }

  /** Number of names. */
  get size(): number {
    return this.#names.size;
  }

  has(name: string): boolean {
    return this.#names.has(name);
  }

  /** Whether this very object is a key of an advertised name: a key that is advertised again is another one. */
  includes(key: RoutingKey): boolean {
    return this.#names.get(key.name)?.includes(key) ?? false;
  }

  names(): string[] {
    return [...this.#names.keys()];
  }

  keys(): RoutingKey[] {
    return [...this.#names.values()].flat();
  }

  /** One of the keys, if there are any. */
  any(): RoutingKey | undefined {
    return this.#names.values().next().value?.[0];
  }

  /** Adds a name; its keys, or none when it was there. */
  add(name: string): readonly RoutingKey[] {
    if (this.#names.has(name)) return [];
    const keys = this.#lookupKeys.of(name);
    this.#names.set(name, keys);
    return keys;
  }

  /** Removes a name; the keys that it had. */
  remove(name: string): readonly RoutingKey[] {
    const keys = this.#names.get(name) ?? [];
    this.#names.delete(name);
    return keys;
  }

  /** Gives a name the keys that it has by now. Those that it keeps stay the same objects. */
  renew(name: string): KeyChange {
    const before = this.#names.get(name);
    if (before === undefined) return { added: [], removed: [] };
    const kept = new Map(before.map((key) => [key.recordKey, key]));
    const after = this.#lookupKeys.of(name).map((key) => kept.get(key.recordKey) ?? key);
    this.#names.set(name, after);
    return {
      added: after.filter((key) => !before.includes(key)),
      removed: before.filter((key) => !after.includes(key)),
    };
  }

  clear(): void {
    this.#names.clear();
  }
}
