import { UsageError } from '../config/resolve.ts';
import { checkFiles } from '../hosts/registries/check-files.ts';
import { RegistriesError, type Finding } from '../hosts/registries/finding.ts';
import {
  changedLines,
  fixRegistries,
  replaceRegistriesFile,
} from '../hosts/registries/fix-registries.ts';
import { parseRegistries } from '../hosts/registries/parse-registries.ts';
import { sharedRegistries, type Registries } from '../hosts/registries/registries.ts';
import {
  findRegistriesFile,
  readRegistriesFile,
  readRegistriesStream,
} from '../hosts/registries/registries-file.ts';
import { renderFindings } from '../hosts/registries/render-findings.ts';

/** The operand for standard input. */
const STDIN = '-';

interface CheckRegistriesConfig {
  readonly output: 'text' | 'json';
  /** Whether the corrections are written into the files. */
  readonly fix: boolean;
}

/** What was found in one file. */
interface FileReport {
  readonly file: string;
  readonly errors: number;
  readonly warnings: number;
  /** Lines that were corrected in the file; absent without `--fix`. */
  readonly corrected?: number;
  readonly findings: readonly Finding[];
  readonly registries: Registries;
}

/**
 * Checks each registries.yaml and prints the findings. Without a file it is that of this node's k3s or RKE2; `-` is standard
 * input. A file that cannot be read is one line on stderr, and the others are still checked.
 *
 * @returns the exit code: 1 when there are errors, 0 for none or warnings only
 * @throws UsageError when there is no file
 */
export async function runCheckRegistries(
  { output, fix }: CheckRegistriesConfig,
  files: readonly string[],
): Promise<number> {
  if (fix && files.includes(STDIN)) throw new UsageError('--fix writes files, not standard input');
  const reports: FileReport[] = [];
  let failed = false;
  for (const file of files.length > 0 ? files : [defaultFile()]) {
    try {
      reports.push(await check(file, fix));
    } catch (error) {
      if (!(error instanceof RegistriesError)) throw error;
      process.stderr.write(`peerglass: ${error.message}\n`);
      failed = true;
    }
  }
  if (output === 'json') printJson(reports, files.length > 1);
  else process.stdout.write(reports.map(renderReport).join('\n'));
  return failed || reports.some(({ errors }) => errors > 0) ? 1 : 0;
}

function defaultFile(): string {
  const file = findRegistriesFile();
  if (file !== undefined) return file;
  throw new UsageError(
    'neither k3s nor RKE2 has a registries.yaml on this node; name a FILE, or - for standard input',
  );
}

async function check(file: string, fix: boolean): Promise<FileReport> {
  const text =
    file === STDIN ? await readRegistriesStream('stdin', process.stdin) : readRegistriesFile(file);
  const fixed = fix ? fixRegistries(text, checkFiles) : text;
  if (fixed !== text) replaceRegistriesFile(file, fixed);
  const { registries, findings } = parseRegistries(fixed, checkFiles);
  const errors = findings.filter(({ severity }) => severity === 'error').length;
  return {
    file: file === STDIN ? 'stdin' : file,
    errors,
    warnings: findings.length - errors,
    ...(fix && { corrected: changedLines(text, fixed) }),
    findings,
    registries,
  };
}

function renderReport({
  file,
  errors,
  warnings,
  corrected = 0,
  findings,
  registries,
}: FileReport): string {
  const shared = sharedRegistries(registries);
  const names = shared.includes('*') ? 'all registries' : shared.join(', ') || 'no registry';
  const count = `${plural(errors, 'error')}, ${plural(warnings, 'warning')}`;
  const summary = findings.length === 0 ? `ok, mirrors ${names}` : count;
  const fixed = corrected === 0 ? '' : `${plural(corrected, 'line')} corrected; `;
  const gap = findings.length === 0 ? '' : '\n';
  return `${renderFindings(file, findings)}${gap}${file}: ${fixed}${summary}\n`;
}

/** Prints the report of one file as an object, and a list for several files, also if some cannot be read. */
function printJson(reports: readonly FileReport[], isList: boolean): void {
  const objects = reports.map(({ registries: _, findings, ...report }) => ({
    ...report,
    findings: findings.map(publicFinding),
  }));
  const shown = isList ? objects : objects[0];
  if (shown === undefined) return;
  const text = JSON.stringify(shown, undefined, 2);
  process.stdout.write(`${text}\n`);
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
