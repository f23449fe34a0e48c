/** Shares a link among demands so that none gets more than it demands and the smallest share is as large as it can be. */
export function shareMaxMin(capacity: number, demands: readonly number[]): number[] {
  const shares = new Array<number>(demands.length).fill(0);
  const order = demands
    .map((_, index) => index)
    .sort((a, b) => (demands[a] ?? 0) - (demands[b] ?? 0));
  let left = capacity;
  for (const [position, index] of order.entries()) {
    const share = Math.min(demands[index] ?? 0, left / (order.length - position));
    shares[index] = share;
    left -= share;
  }
  return shares;
}

/** Numbers from 0 to 1 that are the same in each run (mulberry32). */
export function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The value below which this part of the values is. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}
