import { writeFileSync } from 'node:fs';
import { loadavg } from 'node:os';

/** One line of the table. */
export interface Row {
  readonly figure: string;
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly note: string;
}

/** Collects the figures of a run, and prints each on stderr as it comes. */
export class Report {
  readonly #rows: Row[] = [];

  /** Prints what the bench is doing. */
  progress(text: string): void {
    process.stderr.write(`# ${text} (load average ${loadText()})\n`);
  }

  add(figure: string, what: string, value: number, unit: string, note = ''): void {
    this.#rows.push({ figure, what, value, unit, note });
    process.stderr.write(`${figure}: ${what}: ${formatNumber(value)} ${unit} ${note}\n`);
  }

  /** A figure of this run, if it was taken. */
  find(figure: string, what: string): number | undefined {
    return this.#rows.find((row) => row.figure === figure && row.what === what)?.value;
  }

  /** Adds the ratio of two figures of this run, when both were taken. */
  addRatio(
    what: string,
    [figure, name]: readonly [string, string],
    [other, otherName]: readonly [string, string],
  ): void {
    const above = this.find(figure, name);
    const below = this.find(other, otherName);
    if (above !== undefined && below !== undefined) this.add('ratio', what, above / below, 'x');
  }

  /** Writes all figures as JSON where `PEERGLASS_BENCH_JSON` names a file, for `compare.bench.ts`. */
  writeJson(path = process.env['PEERGLASS_BENCH_JSON'] ?? ''): void {
    if (path !== '') writeFileSync(path, JSON.stringify(this.#rows));
  }

  /** All figures as a table in Markdown. */
  table(): string {
    const lines = this.#rows.map(
      ({ figure, what, value, unit, note }) =>
        `| ${figure} | ${what} | ${formatNumber(value)} ${unit} | ${note} |`,
    );
    return ['| figure | what | value | |', '|---|---|---|---|', ...lines, ''].join('\n');
  }
}

/** The machine's load averages of 1, 5 and 15 minutes. */
export function loadText(): string {
  return loadavg()
    .map((load) => load.toFixed(1))
    .join(' ');
}

/** Three significant digits, and whole numbers as they are. */
function formatNumber(value: number): string {
  if (Number.isInteger(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}
