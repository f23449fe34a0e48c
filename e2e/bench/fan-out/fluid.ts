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

/** The value below which this part of the values is. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? NaN;
}
