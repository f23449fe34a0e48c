import { labelsOf, METRICS, type MetricRow } from '../../agent/metrics/table.ts';

/** Labels that Prometheus adds to the metrics of every agent, and the bucket of a histogram. */
const ADDED = new Set(['job', 'instance', 'namespace', 'pod', 'le']);

/** The row of a metric; the series of a histogram count as the histogram. */
function rowOf(series: string): MetricRow | undefined {
  const rows: Readonly<Record<string, MetricRow>> = METRICS;
  return rows[series] ?? rows[series.replace(/_(bucket|sum|count)$/, '')];
}

/**
 * The matchers of a text, as in `metric{label="value"}`, that no series of an agent can fulfil: the metric of the table
 * has no such label, or the label no such value. An alternative of a regular expression counts as a value.
 */
export function undeclaredMatchers(text: string): string[] {
  const wrong: string[] = [];
  for (const [, series = '', matchers = ''] of text.matchAll(/\b([a-z]\w+)\{([^{}]*)\}/g)) {
    const row = rowOf(series);
    if (row === undefined) continue;
    for (const [, label = '', operator = '', value = ''] of matchers.matchAll(
      /(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g,
    )) {
      if (!ADDED.has(label) && !isDeclared(row, label, operator, value)) {
        wrong.push(`${series}{${label}${operator}"${value}"}`);
      }
    }
  }
  return wrong;
}

function isDeclared(row: MetricRow, label: string, operator: string, value: string): boolean {
  const declared = labelsOf(row)[label];
  if (declared === undefined) return false;
  if (typeof declared === 'string') return true;
  const values = Object.keys(declared);
  if (!operator.endsWith('~')) return values.includes(value);
  return value.split('|').every((alternative) => {
    const pattern = new RegExp(`^(?:${alternative})$`);
    return values.some((it) => pattern.test(it));
  });
}
