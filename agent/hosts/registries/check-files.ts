import { accessSync, constants, readdirSync, statSync } from 'node:fs';
import { basename, dirname, isAbsolute, join } from 'node:path';

import { codeOf } from '../../errors/system-error.ts';
import type { ExternalCheck } from './parse-registries.ts';
import type { LocatedFile } from './read-configs.ts';
import { editDistance } from './words.ts';

/** Maximum number of names of a folder that are compared to find a similar one. */
const MAX_NAMES = 10_000;

/** Reports files named under `tls` that are missing, unreadable or empty. */
export const checkFiles: ExternalCheck = (reader, configs) => {
  for (const file of [...configs.values()].flatMap(({ files }) => files)) {
    const { at, node, path, what } = file;
    if (!isAbsolute(path)) {
      const message = `the ${what} file needs an absolute path: containerd looks for a relative one below its certs.d`;
      reader.source.add({ code: 'relative-path', at, message });
      continue;
    }
    const problem = problemOf(path);
    if (problem === undefined) continue;
    const similar = problem === 'missing' ? similarFile(file) : undefined;
    const edit = similar === undefined ? undefined : reader.replaceQuoted(node, similar);
    const { line } = reader.source.locate(at);
    // Without a similar file, the correction is to comment the line out until the file exists.
    const text = reader.source.lines[line - 1] ?? '';
    const commented = /^\s*\w+_file\s*:/.test(text) ? text.replace(/\S/, '# $&') : undefined;
    reader.source.add({
      code: `${problem}-file`,
      at,
      message: MESSAGES[problem](what),
      edit,
      // A similar name may be that of another certificate, and the file may be missing on this machine only.
      isChoice: true,
      line: edit === undefined ? commented : undefined,
    });
  }
};

type Problem = 'missing' | 'unreadable' | 'irregular' | 'empty';

const MESSAGES: Record<Problem, (what: string) => string> = {
  missing: (what) => `the ${what} file does not exist`,
  unreadable: (what) => `the ${what} file cannot be read`,
  irregular: (what) => `the ${what} file is not a regular file`,
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

/** The file of the same folder with the most similar name, at most two edits away. */
function similarFile({ path }: LocatedFile): string | undefined {
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
