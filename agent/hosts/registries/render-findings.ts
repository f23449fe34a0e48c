import { located, type Finding } from './finding.ts';

/**
 * The findings as people read them: where and what, the line with a caret below the place, and the line as
 * it would be right.
 */
export function renderFindings(file: string, findings: readonly Finding[]): string {
  return findings.map((finding) => renderFinding(file, finding)).join('\n');
}

function renderFinding(file: string, finding: Finding): string {
  const { severity, line, source, caret, correction } = finding;
  const margin = ' '.repeat(String(line).length);
  // Tabs stay tabs, so that the caret stands below its place however wide they are.
  const gap = source.slice(0, caret).replace(/[^\t]/g, ' ');
  const lines = [
    located(file, { ...finding, message: `${severity}: ${finding.message}` }),
    ...(source === '' ? [] : [`  ${line} | ${source}`, `  ${margin} | ${gap}^`]),
    ...(correction === undefined ? [] : [`  ${margin} = ${correction}`]),
  ];
  return `${lines.join('\n')}\n`;
}
