import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';

import { codeOf } from '../errors/system-error.ts';

/** What an agent keeps in its folder: identity and verdicts, and what a crash may leave of writing them. */
const OURS = /^(private\.key(\.[0-9a-f]+\.tmp)?|verdicts(\.tmp)?)$/;

/**
 * Removes what agents kept in `--data-dir`, and the folder when nothing else is in it.
 *
 * @returns whether the folder is gone
 * @throws what the file system says, but for a folder that is not there
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
    // What others put there stays, and so does a folder that is mounted by itself.
    if (code === 'ENOTEMPTY' || code === 'EBUSY') return false;
    throw error;
  }
}
