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
    return {
      links,
      image,
      name,
      toAlone: median(group.map((run) => ratioToAlone(run, runs)).filter(Number.isFinite)),
      figures: Object.fromEntries(figures) as Record<string, number>,
      victims: group.flatMap(({ victim }) => victim ?? []),
    };
  });
}

/** The table in Markdown. */
export function tableOf(rows: readonly FanOutRow[]): string {
  const head = ['links', 'image', 'case', 'last / alone', ...Object.keys(COLUMNS), 'failed node'];
  const lines = rows.map(({ links, image, name, toAlone, figures, victims }) => [
    links,
    image,
    name,
    formatted(toAlone),
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

function ratioToAlone(run: PlacedRun, runs: readonly PlacedRun[]): number {
  const alone = runs.find(
    ({ links, image, round, name }) =>
      name === 'alone' && links === run.links && image === run.image && round === run.round,
  );
  if (alone === undefined) return NaN;
  return (figuresOf(run)['last'] ?? NaN) / (figuresOf(alone)['last'] ?? NaN);
}

function formatted(value: number): string {
  if (Number.isNaN(value)) return '-';
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
