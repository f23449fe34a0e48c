/** Different values of one label; each costs a time series for as long as the process runs. */
const MAX_VALUES = 200;

/** Limits the values of a label that clients choose: new values beyond the first 200 become `other`. */
export class BoundedLabels {
  readonly #values = new Set<string>();

  /** The value to use as the label. */
  label(value: string): string {
    if (this.#values.has(value)) return value;
    if (this.#values.size >= MAX_VALUES) return 'other';
    this.#values.add(value);
    return value;
  }
}
