import type { Finding, Severity } from './finding.ts';
import { LineMask } from './mask.ts';

/** A replacement of a part of one line. `from` and `to` are indices in the text. */
export interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** A finding as it is reported, before it gets its line. */
export interface FindingInit {
  readonly code: string;
  readonly severity?: Severity;
  /** Index in the text. */
  readonly at: number;
  readonly message: string;
  /** The edit that corrects the line. */
  readonly edit?: Edit | undefined;
  /** The corrected line, if it cannot be written as an {@link edit}. */
  readonly line?: string | undefined;
  /** See {@link Finding.fatal}. Default false. */
  readonly fatal?: boolean;
  /** Whether the correction is one of several possible ones, which a person has to choose from. Default false. */
  readonly isChoice?: boolean;
}

/** Maximum number of findings in one file. Later ones are dropped. */
const MAX_FINDINGS = 100;

/** The text of a file, split into lines, and the findings in it. */
export class SourceText {
  readonly text: string;
  readonly lines: readonly string[];
  readonly findings: Finding[] = [];
  readonly #starts: readonly number[];
  readonly #edits: Edit[] = [];
  /** What was found already: an alias leads to the same place again. */
  readonly #seen = new Set<string>();
  #lazyMask: LineMask | undefined;
  /** The lines of the file, of which the text may be a corrected version. */
  readonly #original: readonly string[];

  /** @param original the text of the file, with as many lines, if `text` is a corrected version */
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

  /** Line, from 1, and index in the line, from 0, of an index in the text. */
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

  /** Index in the text of the start of a line, from 1. */
  startOf(line: number): number {
    return this.#starts[line - 1] ?? this.text.length;
  }

  /** Whether {@link MAX_FINDINGS} is reached. */
  get isFull(): boolean {
    return this.findings.length >= MAX_FINDINGS;
  }

  /** Adds a finding, unless there are too many. Its texts have their credentials hidden. */
  add(init: FindingInit): void {
    const { code, severity = 'error', at, message, edit, line, fatal = false } = init;
    const key = `${at} ${code} ${message}`;
    // The first fatal finding counts, however many others there are.
    const max = fatal && !this.findings.some((finding) => finding.fatal) ? Infinity : MAX_FINDINGS;
    if (this.findings.length >= max || this.#seen.has(key)) return;
    this.#seen.add(key);
    if (edit !== undefined && init.isChoice !== true) this.#edits.push(edit);
    const mask = this.#mask();
    const place = this.locate(at);
    const current = this.lines[place.line - 1] ?? '';
    const original = (this.#original[place.line - 1] ?? '').replace(/\r$/, '');
    const index = indexBefore(original, current.replace(/\r$/, ''), place.index);
    const corrected = line ?? (edit && this.#edited(edit, place.line));
    const shown = mask.mask(place.line, original);
    this.findings.push({
      severity,
      code,
      line: place.line,
      column: index + 1,
      message,
      source: shown.text,
      caret: shown.index(index),
      ...(corrected !== undefined && {
        correction: masked(mask, place.line, corrected.replace(/\r$/, '')),
      }),
      fatal,
    });
  }

  /** The key in quotes, for a message; undefined if it may be a credential. */
  nameOf(key: string, at: number): string | undefined {
    return this.#mask().mayName(this.locate(at).line, key) ? `"${key}"` : undefined;
  }

  /**
   * The text with the edits of its findings, except those that are a choice. Of two that overlap only the first is made.
   */
  corrected(): string {
    let { text } = this;
    let end = text.length;
    for (const edit of this.#edits.toSorted((one, other) => other.from - one.from)) {
      if (edit.to > end || this.#edited(edit, this.locate(edit.from).line) === undefined) continue;
      text = text.slice(0, edit.from) + edit.text + text.slice(edit.to);
      end = edit.from;
    }
    return text;
  }

  /** Created for the first finding, because most files have none. */
  #mask(): LineMask {
    this.#lazyMask ??= new LineMask(this.lines, this.#original);
    return this.#lazyMask;
  }

  #edited({ from, to, text }: Edit, line: number): string | undefined {
    const current = this.lines[line - 1] ?? '';
    const start = this.startOf(line);
    if (from < start || to > start + current.length) return undefined;
    return current.slice(0, from - start) + text + current.slice(to - start);
  }
}

/** Maps an index in a corrected line to the line of the file. Corrections insert text and change the indentation. */
function indexBefore(original: string, corrected: string, index: number): number {
  if (original === corrected) return index;
  const [before, after] = [original.trimStart(), corrected.trimStart()];
  const indent = indentOf(original);
  const inContent = Math.max(0, index - indentOf(corrected));
  let same = 0;
  while (same < inContent && before[same] === after[same]) same += 1;
  return (
    indent + Math.max(same, inContent - (after.length - before.length) * Number(same < inContent))
  );
}

/** Masks a line. A line that the correction comments out stays visible, although the mask removes other comments. */
function masked(mask: LineMask, number: number, line: string): string {
  const [, indent = '', rest = ''] = /^(\s*)# (.*)$/.exec(line) ?? [];
  return rest === '' ? mask.mask(number, line).text : `${indent}# ${mask.mask(number, rest).text}`;
}

/** Number of white-space characters at the start of a line. */
export function indentOf(line: string): number {
  return line.length - line.trimStart().length;
}
