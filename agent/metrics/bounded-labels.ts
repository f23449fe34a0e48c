/** Most different values of one label; each costs a time series for as long as the process runs. */
const MAX_VALUES = 200;

/** Keeps a label that clients choose from growing without end: once full, new values are `other`. */
export class BoundedLabels {
  readonly #values = new Set<string>();

  label(value: string): string {
    if (this.#values.has(value)) return value;
    if (this.#values.size >= MAX_VALUES) return 'other';
    this.#values.add(value);
    return value;
  }
}
