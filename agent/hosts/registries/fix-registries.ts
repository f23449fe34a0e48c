import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';

import { fileReason } from '../hosts-error.ts';
import { RegistriesError, type Finding } from './finding.ts';
import { correctedText, parseRegistries, type ExternalCheck } from './parse-registries.ts';

/** Maximum number of passes. A correction may show what could not be seen before it. */
const MAX_PASSES = 20;

/**
 * Makes the corrections that the findings of a registries.yaml propose, until there are no more. A correction that is one of
 * several possible ones is left to a person.
 */
export function fixRegistries(text: string, outer?: ExternalCheck): string {
  let best = text;
  for (let pass = 0; pass < MAX_PASSES; pass += 1) {
    const { text: next, remaining } = correctedText(best, outer);
    if (next === best) return best;
    // Compared with what the corrections left, not with what they corrected: that would hide as many new errors.
    const { findings } = parseRegistries(next, outer);
    if (isWorse(errorsOf(findings), errorsOf(remaining))) return best;
    best = next;
  }
  return best;
}

interface Errors {
  readonly fatal: number;
  readonly all: number;
}

function errorsOf(findings: readonly Finding[]): Errors {
  return {
    fatal: findings.filter(({ fatal }) => fatal).length,
    all: findings.filter(({ severity }) => severity === 'error').length,
  };
}

function isWorse(one: Errors, other: Errors): boolean {
  return one.fatal > other.fatal || (one.fatal === other.fatal && one.all > other.all);
}

/** Number of lines in which two texts differ. Corrections neither add nor remove lines. */
export function changedLines(before: string, after: string): number {
  const lines = after.split('\n');
  return before.split('\n').filter((line, index) => line !== lines[index]).length;
}

/**
 * Replaces a file by a rename, so that its readers see the old text or the new one. Mode and owner stay, and a symbolic link
 * stays one. The file has credentials, so the new one is never readable for others than the old one.
 *
 * @throws RegistriesError, with the path, when it cannot be written
 */
export function replaceRegistriesFile(path: string, text: string): void {
  let temporary: string | undefined;
  try {
    const target = realpathSync(path);
    const { mode, uid, gid } = statSync(target);
    temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`;
    const file = openSync(temporary, 'wx', 0o600);
    try {
      writeFileSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    chownSync(temporary, uid, gid);
    chmodSync(temporary, mode & 0o7777);
    renameSync(temporary, target);
  } catch (error) {
    if (temporary !== undefined) rmSync(temporary, { force: true });
    throw new RegistriesError(`${path}: cannot be written: ${fileReason(error)}`);
  }
}
