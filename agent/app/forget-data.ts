import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';

import { codeOf } from '../errors/system-error.ts';

/** The files of an agent: identity, replaced ones, verification results, and the temporary files that a crash may leave. */
const OURS = /^(private\.key(\.[0-9a-f]+\.tmp|\.replaced(\.\d+)?)?|verdicts(\.tmp)?)$/;

/**
 * Removes the files of an agent from `--data-dir`, and the folder when it is empty then.
 *
 * @returns whether the folder is gone
 * @throws the error of the file system, unless the folder does not exist
 */
export async function forgetData(folder: string): Promise<boolean> {
  try {
    const names = await readdir(folder);
    for (const name of names.filter((each) => OURS.test(each))) await rm(join(folder, name));
    await rmdir(folder);
    return true;
  } catch (error) {
    const code = codeOf(error);
    if (code === 'ENOENT') return true;
    // Files of other programs stay, and so does a folder that is a mount point.
    if (code === 'ENOTEMPTY' || code === 'EBUSY') return false;
    throw error;
  }
}
