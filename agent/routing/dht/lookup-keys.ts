import type { KeyObject } from 'node:crypto';

import { lookupSecret } from '../../membership/lookup-secret.ts';
import type { SwarmKey, SwarmKeys } from '../../membership/swarm-key.ts';
import { routingKey, secretRoutingKey, type RoutingKey } from './key.ts';

/** At least one, and always in the same order until the swarm keys change. */
export type NameKeys = readonly [RoutingKey, ...RoutingKey[]];

/** Under which a name becomes a key; undefined for the plain key, which Spegel has. */
type Secret = KeyObject | undefined;

/** Who may connect with this node, as far as it decides on keys. */
export interface LookupKeysInit {
  readonly swarmKeys: SwarmKeys;
  /** Whether nodes without a swarm key may connect: they provide and look up plain keys. */
  readonly isOpen: boolean;
}

/**
 * The one place where names become keys of the DHT. A node provides *and* looks up each name under all of its keys:
 * one for each swarm key that it has, and the plain one when nodes without a swarm key may connect. So two nodes find
 * each other's content when they have one swarm key in common, or are both open. That holds in each step in which
 * a key is changed, see docs/design/content-routing.md, "Keys of names".
 */
export class LookupKeys {
  readonly #swarm: LookupKeysInit | undefined;
  #derivedFrom: readonly SwarmKey[] | undefined;
  #secrets: readonly [Secret, ...Secret[]] = [undefined];

  /** @param swarm default: none, and each name has its plain key */
  constructor(swarm?: LookupKeysInit) {
    this.#swarm = swarm;
  }

  /** The keys under which a name is provided and looked up. The first is that of the swarm key with which others are dialled. */
  of(name: string): NameKeys {
    const [first, ...more] = this.#current();
    return [keyOf(name, first), ...more.map((secret) => keyOf(name, secret))];
  }

  /** The first of the keys, for what must be one point of the key space. */
  first(name: string): RoutingKey {
    return keyOf(name, this.#current()[0]);
  }

  /**
   * Calls back when names have other keys than before.
   *
   * @returns ends the calls
   */
  onChange(listener: () => void): () => void {
    return this.#swarm?.swarmKeys.onChange?.(listener) ?? (() => undefined);
  }

  /** Derived once for each set of swarm keys. */
  #current(): readonly [Secret, ...Secret[]] {
    if (this.#swarm === undefined) return this.#secrets;
    const { swarmKeys, isOpen } = this.#swarm;
    const { keys } = swarmKeys;
    if (keys !== this.#derivedFrom) {
      const [first, ...more] = [...keys.map(lookupSecret), ...(isOpen ? [undefined] : [])];
      this.#secrets = [first, ...more];
      this.#derivedFrom = keys;
    }
    return this.#secrets;
  }
}

function keyOf(name: string, secret: Secret): RoutingKey {
  return secret === undefined ? routingKey(name) : secretRoutingKey(name, secret);
}
