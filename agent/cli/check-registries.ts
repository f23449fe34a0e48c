import { checkFiles } from '../hosts/registries/check-files.ts';
import type { Finding } from '../hosts/registries/finding.ts';
import { parseRegistries } from '../hosts/registries/parse-registries.ts';
import { sharedRegistries } from '../hosts/registries/registries.ts';
import { readRegistriesFile } from '../hosts/registries/registries-file.ts';
import { renderFindings } from '../hosts/registries/render-findings.ts';

/**
 * Checks a registries.yaml and prints the findings.
 *
 * @returns the exit code: 1 when there are errors, 0 for none or warnings only
 * @throws RegistriesError when the file cannot be read or is too large
 */
export function runCheckRegistries({ output }: { output: 'text' | 'json' }, file: string): number {
  const { registries, findings } = parseRegistries(readRegistriesFile(file), checkFiles);
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  const warnings = findings.length - errors;
  if (output === 'json') {
    const report = { file, errors, warnings, findings: findings.map(publicFinding) };
    process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`);
  } else {
    const count = `${plural(errors, 'error')}, ${plural(warnings, 'warning')}`;
    const shared = sharedRegistries(registries);
    const names = shared.includes('*') ? 'all registries' : shared.join(', ') || 'no registry';
    const summary = findings.length === 0 ? `ok, mirrors ${names}` : count;
    const gap = findings.length === 0 ? '' : '\n';
    process.stdout.write(`${renderFindings(file, findings)}${gap}${file}: ${summary}\n`);
  }
  return errors > 0 ? 1 : 0;
}

/** The fields of a finding that scripts may rely on. */
function publicFinding({
  severity,
  code,
  line,
  column,
  message,
  source,
  correction,
}: Finding): object {
  return { severity, code, line, column, message, source, correction };
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
