import { DASHBOARD_ROWS } from '../../scripts/monitoring/panels.ts';
import type { Host } from '../harness/namespaces.ts';
import type { DrawnRow } from './draw.ts';
import type { Series, Span } from './panel.ts';

/** Between two points of a graph, in seconds. */
const STEP = 2;
/** Grafana takes four scrapes; they are a second apart here, and rates over so little are ragged. */
const RATE_INTERVAL = '15s';

interface Result {
  readonly metric: Readonly<Record<string, string>>;
  /** Of query_range. */
  readonly values?: readonly (readonly [number, string])[];
  /** Of query. */
  readonly value?: readonly [number, string];
}

/**
 * What a Prometheus answers to every query of the dashboard.
 *
 * @param host the machine that it runs on, at port 9090
 */
export async function askAll(host: Host, span: Span): Promise<DrawnRow[]> {
  const rows: DrawnRow[] = [];
  for (const [title, panels] of Object.entries(DASHBOARD_ROWS)) {
    const drawn = panels.map(async ({ queries, ...panel }) => {
      const answers = queries.map(async ({ expr, legend }) => {
        const results = await ask(host, filled(expr, span), panel.kind, span);
        return results.map((result) => toSeries(result, legend));
      });
      return { ...panel, series: (await Promise.all(answers)).flat() };
    });
    rows.push({ title, panels: await Promise.all(drawn) });
  }
  return rows;
}

/** The expression as Grafana sends it. */
function filled(expr: string, { from, to }: Span): string {
  return expr
    .replaceAll('$__rate_interval', RATE_INTERVAL)
    .replaceAll('$__range', `${Math.round(to - from)}s`)
    .replaceAll(/\$(job|instance)/g, '.+');
}

async function ask(
  host: Host,
  query: string,
  kind: 'number' | 'graph',
  { from, to }: Span,
): Promise<readonly Result[]> {
  const parameters =
    kind === 'number'
      ? new URLSearchParams({ query, time: `${to}` })
      : new URLSearchParams({ query, start: `${from}`, end: `${to}`, step: `${STEP}` });
  const path = kind === 'number' ? 'query' : 'query_range';
  const response = await host.fetch(
    `http://127.0.0.1:9090/api/v1/${path}?${parameters.toString()}`,
  );
  const { data, error } = (await response.json()) as {
    data?: { result: readonly Result[] };
    error?: string;
  };
  if (data === undefined) throw new Error(`${query}: ${error ?? 'no answer'}`);
  return data.result;
}

function toSeries({ metric, values, value }: Result, legend: string): Series {
  const points = values ?? (value === undefined ? [] : [value]);
  return {
    name: legend.replaceAll(/\{\{(\w+)\}\}/g, (_, name: string) => metric[name] ?? ''),
    points: points.map(([time, text]) => [time, Number(text)]),
  };
}
