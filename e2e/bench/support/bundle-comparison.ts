import type { Row } from './report.ts';
import { median } from './samples.ts';

/** The two bundles that are compared. */
export type Side = 'before' | 'after';

/** One figure of both bundles. */
export interface ComparedFigure {
  readonly figure: string;
  readonly what: string;
  readonly unit: string;
  readonly before: number;
  readonly after: number;
  /** `after / before`, of the medians. */
  readonly ratio: number;
  /** Largest by smallest value among the runs of one bundle: what differs without any change; the larger one of both bundles. */
  readonly spread: number;
}

/**
 * Compares the rows of several runs of two bundles.
 *
 * @param runs the rows of each run, in order; a figure that is missing in all runs of a side is left out
 */
export function compareBundles(
  runs: readonly { readonly side: Side; readonly rows: readonly Row[] }[],
): ComparedFigure[] {
  const names = new Map<string, Row>();
  for (const { rows } of runs) {
    for (const row of rows) names.set(`${row.figure}\n${row.what}`, row);
  }
  const compared: ComparedFigure[] = [];
  for (const { figure, what, unit } of names.values()) {
    const valuesOf = (side: Side): number[] =>
      runs
        .filter((run) => run.side === side)
        .flatMap(({ rows }) => rows.filter((row) => row.figure === figure && row.what === what))
        .map(({ value }) => value)
        .filter(Number.isFinite);
    const [before, after] = [valuesOf('before'), valuesOf('after')];
    if (before.length === 0 || after.length === 0) continue;
    compared.push({
      figure,
      what,
      unit,
      before: median(before),
      after: median(after),
      ratio: median(after) / median(before),
      spread: Math.max(spreadOf(before), spreadOf(after)),
    });
  }
  return compared;
}

function spreadOf(values: readonly number[]): number {
  return Math.max(...values) / Math.min(...values);
}
