import type { SwarmKey, SwarmKeys } from '../membership/swarm-key.ts';

/** For tests: swarm keys as if from a file that changes. */
export class ChangingKeys implements SwarmKeys {
  readonly #listeners = new Set<() => void>();
  #keys: readonly SwarmKey[];

  constructor(keys: readonly SwarmKey[]) {
    this.#keys = keys;
  }

  get keys(): readonly SwarmKey[] {
    return this.#keys;
  }

  /** How many are called back. */
  get listeners(): number {
    return this.#listeners.size;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  change(keys: readonly SwarmKey[]): void {
    this.#keys = keys;
    for (const listener of this.#listeners) listener();
  }
}
