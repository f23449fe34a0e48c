/** What Grafana puts in. */
const VARIABLES = {
  $__rate_interval: '1m',
  $__range: '5m',
  $job: '.+',
  $instance: '.+',
} as const;

/** A panel of a dashboard's JSON, or a row of them. */
interface Panel {
  readonly title?: string;
  readonly targets?: readonly { readonly expr?: string }[];
  readonly panels?: readonly Panel[];
}

/** The expression as Grafana sends it. */
export function filled(expr: string): string {
  return Object.entries(VARIABLES).reduce(
    (text, [name, value]) => text.replaceAll(name, value),
    expr,
  );
}

/** The queries of each panel of a dashboard, by its title, as Grafana sends them. */
export function panelQueries(json: string): Map<string, string[]> {
  const all = (panels: readonly Panel[]): Panel[] =>
    panels.flatMap((panel) => [panel, ...all(panel.panels ?? [])]);
  const { panels } = JSON.parse(json) as { readonly panels: readonly Panel[] };
  const queries = all(panels).map(({ title = '', targets = [] }): [string, string[]] => [
    title,
    targets.flatMap(({ expr }) => (expr === undefined ? [] : [filled(expr)])),
  ]);
  return new Map(queries.filter(([, exprs]) => exprs.length > 0));
}
