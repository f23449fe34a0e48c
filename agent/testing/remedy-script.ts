import assert from 'node:assert/strict';

import type { Finding } from '../doctor/report.ts';

/** A script for `sh` that runs the command of a remedy, with `program` as `peerglass`. */
export function remedyScript(
  { id, remedy = '' }: Pick<Finding, 'id' | 'remedy'>,
  program: string,
): string {
  const command = /(?:mv \/.* && )?peerglass configuration .*$/m.exec(remedy)?.[0];
  assert.ok(command !== undefined, `${id} gives no command: ${remedy}`);
  return `peerglass() { "${process.execPath}" "${program}" "$@"; }\n${command}`;
}
