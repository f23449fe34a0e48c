/** A Prometheus histogram: upper bound of each bucket -> observations up to it; `Infinity` has all. */
export type Buckets = ReadonlyMap<number, number>;

/**
 * Reads a histogram from the text that `/metrics` gives: the sum of all its series whose labels include the
 * given ones. Undefined when there is no such metric.
 */
export function readHistogram(
  text: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Buckets | undefined {
  const buckets = new Map<number, number>();
  for (const line of text.split('\n')) {
    if (!line.startsWith(`${name}_bucket{`)) continue;
    const [, inside = '', count] = /\{(.*)\} (\S+)/.exec(line) ?? [];
    const present = `,${inside},`;
    const fits = Object.entries(labels).every(([key, it]) => present.includes(`,${key}="${it}",`));
    const bound = /(?:^|,)le="([^"]+)"/.exec(inside)?.[1];
    if (!fits || bound === undefined) continue;
    const upper = bound === '+Inf' ? Infinity : Number(bound);
    buckets.set(upper, (buckets.get(upper) ?? 0) + Number(count));
  }
  return buckets.size === 0 ? undefined : buckets;
}

/** The sum of all series of a metric in the text that `/metrics` gives. Undefined when there is no such metric. */
export function readSum(text: string, name: string): number | undefined {
  let sum: number | undefined;
  for (const line of text.split('\n')) {
    const [, found, value] = /^([a-zA-Z_:][\w:]*)(?:\{.*\})? (\S+)$/.exec(line) ?? [];
    if (found === name) sum = (sum ?? 0) + Number(value);
  }
  return sum;
}

/** What was observed between two readings. */
export function difference(after: Buckets, before: Buckets | undefined): Buckets {
  return new Map(Array.from(after, ([bound, count]) => [bound, count - (before?.get(bound) ?? 0)]));
}

/** The observations of several histograms with the same bounds together. */
export function together(all: readonly Buckets[]): Buckets {
  const buckets = new Map<number, number>();
  for (const one of all) {
    for (const [bound, count] of one) buckets.set(bound, (buckets.get(bound) ?? 0) + count);
  }
  return buckets;
}

/** Number of observations. */
export function count(buckets: Buckets): number {
  return buckets.get(Infinity) ?? 0;
}

/**
 * The value below which the share `q` of the observations lies, as if they were spread evenly in their bucket
 * (what `histogram_quantile` of Prometheus does); NaN without observations.
 */
export function histogramQuantile(buckets: Buckets, q: number): number {
  const rank = q * count(buckets);
  let lower = 0;
  let below = 0;
  for (const [bound, upTo] of [...buckets].sort(([one], [other]) => one - other)) {
    if (upTo >= rank && upTo > below) {
      // Of the last bucket only the lower bound is known.
      return bound === Infinity
        ? lower
        : lower + ((bound - lower) * (rank - below)) / (upTo - below);
    }
    lower = bound;
    below = upTo;
  }
  return NaN;
}
