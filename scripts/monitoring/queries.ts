/** One query of a panel. `legend` is a template for the labels of each series. */
export interface PanelQuery {
  readonly expr: string;
  readonly legend: string;
}

/** One panel of the dashboard. */
export interface PanelRow {
  readonly title: string;
  /** The meaning of the figures, and when they are a problem. */
  readonly description: string;
  /** `number` is one figure for the shown period, `graph` is its course. */
  readonly kind: 'number' | 'graph';
  /** Unit by its name in Grafana. */
  readonly unit: 'percentunit' | 'bytes' | 'Bps' | 's' | 'short' | 'reqps';
  readonly queries: readonly PanelQuery[];
}

/** Label matchers of the agents that are selected above the dashboard. */
const SELECTED = 'job=~"$job",instance=~"$instance"';

/** A selector of a metric of the selected agents. */
export function of(metric: string, ...matchers: readonly string[]): string {
  return `${metric}{${[SELECTED, ...matchers].join(',')}}`;
}

/** The sum of a metric over the selected agents. */
export function sum(metric: string, ...matchers: readonly string[]): string {
  return `sum(${of(metric, ...matchers)})`;
}

/** The increase in the shown period. */
export function total(metric: string, ...matchers: readonly string[]): string {
  return `sum(increase(${of(metric, ...matchers)}[$__range]))`;
}

/** The rate per second, in total or by a label. */
export function rate(metric: string, by?: string): string {
  const sums = by === undefined ? 'sum' : `sum by (${by})`;
  return `${sums} (rate(${of(metric)}[$__rate_interval]))`;
}

/** A rare event has no series before it happens. Without a series a panel would show "No data". */
export function orZero(expr: string): string {
  return `${expr} or vector(0)`;
}

/** Queries for a counter of failures: the total, and each kind that happened. */
export function failures(metric: string, by: string, what: string): readonly PanelQuery[] {
  return [
    { expr: orZero(rate(metric)), legend: `${what}: all` },
    { expr: rate(metric, by), legend: `${what}: {{${by}}}` },
  ];
}

/** Queries for the median and the 99th percentile of a histogram, in total or by a label. */
export function quantiles(metric: string, what: string, by?: string): readonly PanelQuery[] {
  const labels = by === undefined ? 'le' : `le, ${by}`;
  const suffix = by === undefined ? '' : ` {{${by}}}`;
  return [0.5, 0.99].map((quantile) => ({
    expr: `histogram_quantile(${quantile}, ${rate(`${metric}_bucket`, labels)})`,
    legend: `${what}${suffix} p${quantile * 100}`,
  }));
}
