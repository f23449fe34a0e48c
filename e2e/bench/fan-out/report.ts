import { writeFileSync } from 'node:fs';

import { median } from '../support/samples.ts';
import type { CaseRun } from './cases.ts';
import { figuresOf } from './figures.ts';
import type { CaseName } from './options.ts';

/** A run, and where it was. */
export interface PlacedRun extends CaseRun {
  readonly links: string;
  readonly image: string;
  readonly round: number;
}

/** What the columns of the table are called, and the figure of each. */
const COLUMNS = {
  'last, s': 'last',
  'p50, s': 'p50',
  'p99 / p50': 'p99 to p50',
  'all, s': 'whole',
  'images sent': 'images sent',
  'manifest GETs': 'manifest GETs',
  HEADs: 'manifest HEADs',
  'blob GETs': 'blob GETs',
  'failed pulls': 'failed pulls',
  'without image': 'without image',
  'agents MB': 'memory MB',
  'agents CPU s': 'agents CPU',
  'busy %': 'busy %',
} as const;

/** A line of the table: a case on some links with some image, over all rounds. */
export interface FanOutRow {
  readonly links: string;
  readonly image: string;
  readonly name: CaseName;
  /** The time of the last node to that of one alone; the median over the rounds that have both. */
  readonly toAlone: number;
  /** The difference of the same two, in milliseconds. */
  readonly aboveAloneMs: number;
  /** The shortest and the longest time of the last node, in seconds. */
  readonly lasts: readonly [number, number];
  /** Medians over the rounds. */
  readonly figures: Readonly<Record<string, number>>;
  /** The nodes that failed on purpose. */
  readonly victims: readonly string[];
}

/** The table of the runs. */
export function rowsOf(runs: readonly PlacedRun[]): FanOutRow[] {
  const groups = Map.groupBy(runs, ({ links, image, name }) => `${links}|${image}|${name}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const measured = group.map(figuresOf);
    const names = Object.keys(measured[0] ?? {});
    const figures = names.map((what) => [what, median(measured.map((it) => it[what] ?? NaN))]);
    const { links, image, name } = first;
    const lasts = measured.map((it) => it['last'] ?? NaN);
    const pairs = group
      .map((run) => ({ last: lastOf(run), alone: lastOf(aloneOf(run, runs)) }))
      .filter(({ last, alone }) => Number.isFinite(last / alone));
    return {
      links,
      image,
      name,
      toAlone: median(pairs.map(({ last, alone }) => last / alone)),
      aboveAloneMs: median(pairs.map(({ last, alone }) => (last - alone) * 1000)),
      lasts: [Math.min(...lasts), Math.max(...lasts)],
      figures: Object.fromEntries(figures) as Record<string, number>,
      victims: group.flatMap(({ victim }) => victim ?? []),
    };
  });
}

/** The table in Markdown. */
export function tableOf(rows: readonly FanOutRow[]): string {
  const own = ['last / alone', 'last - alone, ms', 'last: least, most'];
  const head = ['links', 'image', 'case', ...own, ...Object.keys(COLUMNS), 'failed node'];
  const lines = rows.map(({ links, image, name, figures, victims, ...row }) => [
    links,
    image,
    name,
    formatted(row.toAlone),
    formatted(row.aboveAloneMs),
    row.lasts.map(formatted).join(', '),
    ...Object.values(COLUMNS).map((what) => formatted(figures[what] ?? NaN)),
    victims.join(' '),
  ]);
  return [head, head.map(() => '---'), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |\n`)
    .join('');
}

/** Writes all that is known as JSON. */
export function writeRuns(
  file: string,
  about: Readonly<Record<string, unknown>>,
  runs: readonly PlacedRun[],
): void {
  writeFileSync(file, `${JSON.stringify({ ...about, rows: rowsOf(runs), runs }, undefined, 1)}\n`);
}

/** The run of one node alone in the same round. */
function aloneOf(run: PlacedRun, runs: readonly PlacedRun[]): PlacedRun | undefined {
  return runs.find(
    ({ links, image, round, name }) =>
      name === 'alone' && links === run.links && image === run.image && round === run.round,
  );
}

/** The time of the last node in seconds; NaN without a run. */
function lastOf(run: PlacedRun | undefined): number {
  return run === undefined ? NaN : (figuresOf(run)['last'] ?? NaN);
}

function formatted(value: number): string {
  if (Number.isNaN(value)) return '-';
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
}
