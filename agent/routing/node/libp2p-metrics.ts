import { Registry } from 'prom-client';
import type { Metric } from 'prom-client';

/** Names of the metrics that libp2p has put into each registry. */
const added = new WeakMap<Registry, Set<string>>();

/**
 * A registry for the metrics of one node of libp2p. It puts them into `target`, without those of the node before:
 * each reads its values from the node that made it.
 */
export class Libp2pMetrics extends Registry {
  readonly #target: Registry;
  readonly #names: Set<string>;

  constructor(target: Registry) {
    super();
    this.#target = target;
    this.#names = added.get(target) ?? new Set();
    added.set(target, this.#names);
    for (const name of this.#names) target.removeSingleMetric(name);
    this.#names.clear();
  }

  /** @throws Error when the target has a metric of that name */
  override registerMetric<T extends string>(metric: Metric<T>): void {
    const { name } = metric as Metric<T> & { readonly name: string };
    this.#target.registerMetric(metric);
    this.#names.add(name);
  }
}
