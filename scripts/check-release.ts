/** Checks whether the checkout can be released: `scripts/check-release [TAG] [--notes FILE]`. See docs/RELEASING.md. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { readVersionFiles, releaseNotes, releaseProblems } from './release/versions.ts';

const {
  values,
  positionals: [tag, ...more],
} = parseArgs({ allowPositionals: true, options: { notes: { type: 'string' } } });
if (more.length > 0) throw new Error('one tag at most');
const files = await readVersionFiles(join(import.meta.dirname, '..'));
const problems = releaseProblems(files, tag);
for (const problem of problems) process.stderr.write(`check-release: ${problem}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
if (problems.length === 0 && values.notes !== undefined) {
  const notes = releaseNotes(files.changelog, (tag ?? '').slice(1)) ?? '';
  await writeFile(values.notes, `${notes}\n`);
}
