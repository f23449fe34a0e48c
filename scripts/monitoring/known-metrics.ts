import { createMetrics } from '../../agent/metrics/metrics.ts';
import { metricNames } from './metric-names.ts';

/** The types of all metrics of an agent, by name: those of the table, and the process metrics of prom-client. */
export function knownMetrics(): Map<string, string> {
  // The typings of prom-client declare the types as numbers, but at run time they are names.
  return new Map(
    createMetrics()
      .registry.getMetricsAsArray()
      .map(({ name, type }) => [name, String(type)]),
  );
}

/** The metrics in an expression that no agent has. */
export function unknownMetrics(expr: string): string[] {
  const known = knownMetrics();
  const names = metricNames(expr, (name) => known.get(name) === 'histogram');
  return [...names].filter((name) => !known.has(name));
}
