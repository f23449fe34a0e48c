import { createMetrics } from '../../agent/metrics/metrics.ts';
import { metricNames } from './metric-names.ts';

/** The types of all metrics that an agent has, by name: those of the table, and prom-client's of the process. */
export function knownMetrics(): Map<string, string> {
  // prom-client numbers the types from 0 on in its typings, and names them in what it hands out.
  return new Map(
    createMetrics()
      .registry.getMetricsAsArray()
      .map(({ name, type }) => [name, String(type)]),
  );
}

/** The metrics of an expression that no agent has. */
export function unknownMetrics(expr: string): string[] {
  const known = knownMetrics();
  const names = metricNames(expr, (name) => known.get(name) === 'histogram');
  return [...names].filter((name) => !known.has(name));
}
