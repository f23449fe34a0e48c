import { accessSync, constants, readdirSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';

import { codeOf } from '../../errors/system-error.ts';
import type { OuterCheck } from './parse-registries.ts';
import type { PlacedFile } from './read-configs.ts';
import { editDistance } from './words.ts';

/** Names of a folder that are looked at for one that was meant. */
const MAX_NAMES = 10_000;

/** Finds files that `tls` names and that are not there, cannot be read or are empty. */
export const checkFiles: OuterCheck = (reader, configs) => {
  for (const file of [...configs.values()].flatMap(({ files }) => files)) {
    const { at, node, path, what } = file;
    if (!isAbsolute(path)) {
      const message = `the ${what} file needs an absolute path: containerd looks for others below its certs.d`;
      reader.source.add({ code: 'relative-path', at, message });
      continue;
    }
    const problem = problemOf(path);
    if (problem === undefined) continue;
    const meant = problem === 'missing' ? similarFile(file) : undefined;
    const edit = meant === undefined ? undefined : reader.replaceQuoted(node, meant);
    const { line } = reader.source.locate(at);
    // Without a similar file the line is best left out, until the file is there.
    const text = reader.source.lines[line - 1] ?? '';
    const left = /^\s*\w+_file\s*:/.test(text) ? text.replace(/\S/, '# $&') : undefined;
    reader.source.add({
      code: `${problem}-file`,
      at,
      message: MESSAGES[problem](what),
      edit,
      line: edit === undefined ? left : undefined,
    });
  }
};

type Problem = 'missing' | 'unreadable' | 'irregular' | 'empty';

const MESSAGES: Record<Problem, (what: string) => string> = {
  missing: (what) => `the ${what} file is not there`,
  unreadable: (what) => `the ${what} file cannot be read`,
  irregular: (what) => `the ${what} file is no regular file`,
  empty: (what) => `the ${what} file is empty`,
};

function problemOf(path: string): Problem | undefined {
  try {
    const stat = statSync(path);
    if (!stat.isFile()) return 'irregular';
    accessSync(path, constants.R_OK);
    return stat.size === 0 ? 'empty' : undefined;
  } catch (error) {
    const code = codeOf(error);
    return code === 'ENOENT' || code === 'ENOTDIR' ? 'missing' : 'unreadable';
  }
}

/** A file of the same folder whose name is nearly the same. */
function similarFile({ path }: PlacedFile): string | undefined {
  const name = basename(path);
  if (name.length > 64) return undefined;
  let names: string[];
  try {
    names = readdirSync(dirname(path)).slice(0, MAX_NAMES);
  } catch {
    return undefined;
  }
  const near = names
    .filter((other) => other.length <= 64)
    .map((other) => ({ other, distance: editDistance(other, name) }))
    .filter(({ distance }) => distance <= 2)
    .sort((one, two) => one.distance - two.distance);
  const [best] = near;
  return best === undefined ? undefined : join(dirname(path), best.other);
}
