import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { runDirectory } from '../../harness/run.ts';

/** How the bundle makes the part that collects garbage; it must occur once. */
const MADE = 'new IdleCollection';
/** A part that does nothing. */
const NOTHING = '({start(){},stop(){}})';
/** The native library, which the bundle loads from its own folder. */
const LIBRARY = 'koffi.node';

/**
 * Writes a copy of the bundle whose agent never collects garbage while it is idle.
 *
 * @returns the file of the copy
 * @throws Error when the bundle does not make that part exactly once
 */
export async function bundleWithoutIdleCollection(bundle: string): Promise<string> {
  const [before = '', after, ...more] = (await readFile(bundle, 'utf8')).split(MADE);
  if (after === undefined || more.length > 0) {
    throw new Error(`${bundle}: "${MADE}" does not occur exactly once`);
  }
  const copy = join(runDirectory(), 'without-idle-collection.mjs');
  await writeFile(copy, before + NOTHING + after);
  await copyFile(join(dirname(bundle), LIBRARY), join(runDirectory(), LIBRARY));
  return copy;
}
