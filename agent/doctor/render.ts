import type { Finding, Outcome, Report } from './report.ts';

const COLOURS: Record<Outcome, string> = {
  ok: '\u001b[32m',
  warning: '\u001b[33m',
  failure: '\u001b[31m',
  skipped: '\u001b[2m',
};
const PLAIN = '\u001b[0m';

/** Width at which reasons are wrapped, in columns. Remedies are never wrapped, because they are copied. */
const WIDTH = 100;
/** Upper bound for the printed details of one finding; JSON has all of them. */
const MAX_DETAILS = 10;

/** Whether to colour the text: on a terminal, unless `NO_COLOR` is set (https://no-color.org). */
export function wantsColour(isTTY: boolean | undefined, env: NodeJS.ProcessEnv): boolean {
  return isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

/** Renders the report for people: grouped, one line per check, with the remedy below it. */
export function renderText(report: Report, colour: boolean): string {
  const width = Math.max(...report.checks.map(({ id }) => id.length), 0);
  const lines: string[] = [];
  let group: string | undefined;
  for (const finding of report.checks) {
    if (finding.group !== group) lines.push(...(group === undefined ? [] : ['']), finding.group);
    ({ group } = finding);
    lines.push(...renderFinding(finding, width, colour));
  }
  const { failure, warning, ok, skipped } = report.counts;
  const totals = `${failure} failed, ${warning} warnings, ${ok} ok, ${skipped} skipped`;
  lines.push('', paint(report.result, totals, colour));
  if (report.result !== 'ok') {
    lines.push('docs/TROUBLESHOOTING.md has a section for each of these names.');
  }
  return `${lines.join('\n')}\n`;
}

function renderFinding(finding: Finding, width: number, colour: boolean): string[] {
  const { id, outcome, reason, remedy, details = [] } = finding;
  const indent = ' '.repeat(width + 13);
  const [first = '', ...more] = wrap(reason, WIDTH - indent.length);
  const lines = [
    `  ${paint(outcome, outcome.padEnd(7), colour)}  ${id.padEnd(width)}  ${first}`,
    ...more.map((line) => indent + line),
  ];
  for (const detail of details.slice(0, MAX_DETAILS)) lines.push(`${indent}- ${detail}`);
  if (details.length > MAX_DETAILS) {
    lines.push(`${indent}- and ${details.length - MAX_DETAILS} more (--output json)`);
  }
  if (remedy !== undefined) {
    const [head = '', ...rest] = remedy.split('\n');
    lines.push(`${indent}-> ${head}`, ...rest.map((line) => `${indent}   ${line}`));
  }
  return lines;
}

function paint(outcome: Outcome, text: string, colour: boolean): string {
  return colour ? `${COLOURS[outcome]}${text}${PLAIN}` : text;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + word.length >= width) {
      lines.push(line);
      line = '';
    }
    line += line === '' ? word : ` ${word}`;
  }
  return [...lines, line];
}
