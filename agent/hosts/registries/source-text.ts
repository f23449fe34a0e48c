import type { Finding, Severity } from './finding.ts';
import { LineMask } from './mask.ts';

/** A part of the text to be written otherwise; within one line. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** What is known of a finding where it is made. */
export interface FindingInit {
  readonly code: string;
  readonly severity?: Severity;
  /** Index in the text. */
  readonly at: number;
  readonly message: string;
  /** What would mend the line. */
  readonly edit?: Edit | undefined;
  /** The mended line, where that is no {@link edit}. */
  readonly line?: string | undefined;
  /** Default: false. */
  readonly fatal?: boolean;
}

/** Findings in one file, at most; what comes after them is left out. */
const MAX_FINDINGS = 100;

/** The text of a file, taken apart into lines, and what was found in it. */
export class SourceText {
  readonly text: string;
  readonly lines: readonly string[];
  readonly findings: Finding[] = [];
  readonly #starts: readonly number[];
  #made: LineMask | undefined;
  /** The lines as they are in the file, where the text is a repaired one. */
  readonly #original: readonly string[];

  /** @param original what is in the file; as many lines as the text */
  constructor(text: string, original = text) {
    this.text = text;
    this.lines = text.split('\n');
    this.#original = original.split('\n');
    let start = 0;
    this.#starts = this.lines.map((line) => {
      const from = start;
      start += line.length + 1;
      return from;
    });
  }

  /** Line, from 1, and index in it, from 0. */
  locate(at: number): { line: number; index: number } {
    let low = 0;
    let high = this.#starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#starts[middle] ?? 0) <= at) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, index: at - (this.#starts[low] ?? 0) };
  }

  /** Index in the text at which a line, from 1, begins. */
  startOf(line: number): number {
    return this.#starts[line - 1] ?? this.text.length;
  }

  /** Whether there are as many findings as are kept. */
  get isFull(): boolean {
    return this.findings.length >= MAX_FINDINGS;
  }

  add({ code, severity = 'error', at, message, edit, line, fatal = false }: FindingInit): void {
    if (this.isFull) return;
    const mask = this.#mask();
    const place = this.locate(at);
    const current = this.lines[place.line - 1] ?? '';
    const original = (this.#original[place.line - 1] ?? '').replace(/\r$/, '');
    const index = indexBefore(original, current.replace(/\r$/, ''), place.index);
    const mended = line ?? (edit && this.#edited(edit, place.line));
    const shown = mask.mask(place.line, original);
    this.findings.push({
      severity,
      code,
      line: place.line,
      column: index + 1,
      message,
      source: shown.text,
      caret: shown.index(index),
      ...(mended !== undefined && {
        correction: masked(mask, place.line, mended.replace(/\r$/, '')),
      }),
      fatal,
    });
  }

  /** The key as it may stand in a message, in quotes; undefined for what may be a credential. */
  nameOf(key: string, at: number): string | undefined {
    return this.#mask().mayName(this.locate(at).line, key) ? `"${key}"` : undefined;
  }

  /** Made for the first finding: most files have none. */
  #mask(): LineMask {
    this.#made ??= new LineMask(this.lines, this.#original);
    return this.#made;
  }

  #edited({ from, to, text }: Edit, line: number): string | undefined {
    const current = this.lines[line - 1] ?? '';
    const start = this.startOf(line);
    if (from < start || to > start + current.length) return undefined;
    return current.slice(0, from - start) + text + current.slice(to - start);
  }
}

/** Where in the line of the file a place of the repaired line is: repairs insert, and change indentation. */
function indexBefore(original: string, repaired: string, index: number): number {
  if (original === repaired) return index;
  const [before, after] = [original.trimStart(), repaired.trimStart()];
  const indent = indentOf(original);
  const inContent = Math.max(0, index - indentOf(repaired));
  let same = 0;
  while (same < inContent && before[same] === after[same]) same += 1;
  return (
    indent + Math.max(same, inContent - (after.length - before.length) * Number(same < inContent))
  );
}

/** A line that is to be a comment stays one: the mask leaves comments out. */
function masked(mask: LineMask, number: number, line: string): string {
  const [, indent = '', rest = ''] = /^(\s*)# (.*)$/.exec(line) ?? [];
  return rest === '' ? mask.mask(number, line).text : `${indent}# ${mask.mask(number, rest).text}`;
}

/** Number of white-space characters before a line's content. */
export function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}
