import { formatFinding, type Finding } from './finding.ts';

/**
 * Renders findings for a terminal: place and message, the line with a caret below the place, and the corrected line.
 */
export function renderFindings(file: string, findings: readonly Finding[]): string {
  return findings.map((finding) => renderFinding(file, finding)).join('\n');
}

function renderFinding(file: string, finding: Finding): string {
  const { severity, line, source, caret, correction } = finding;
  const margin = ' '.repeat(String(line).length);
  // Keep tabs, so that the caret is below its place whatever the tab width is.
  const gap = source.slice(0, caret).replace(/[^\t]/g, ' ');
  const lines = [
    formatFinding(file, { ...finding, message: `${severity}: ${finding.message}` }),
    ...(source === '' ? [] : [`  ${line} | ${source}`, `  ${margin} | ${gap}^`]),
    ...(correction === undefined ? [] : [`  ${margin} = ${correction}`]),
  ];
  return `${lines.join('\n')}\n`;
}
