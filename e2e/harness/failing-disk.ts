import { copyFile, mkdir, rename, symlink, truncate } from 'node:fs/promises';
import { join } from 'node:path';

import { execute } from './child.ts';

const MIB = 1 << 20;
/** Space for the blocks of the file system itself, which come before those of the file. */
const OVERHEAD_BYTES = 24 * MIB;

/** A file on a disk that works until the test breaks it. */
export interface FailingFile extends AsyncDisposable {
  readonly path: string;
  /** From now on the file cannot be read from its middle on: `read(2)` gives EIO there. */
  readonly break: () => Promise<void>;
}

/**
 * Puts a copy of the file on a disk that can break in the middle of it: an ext4 on a loop device, whose backing
 * file is cut off while it is mounted. A link to the copy then takes the place of the file.
 *
 * @param folder to keep the disk in; must not exist
 */
export async function putOnFailingDisk(
  file: string,
  size: number,
  folder: string,
): Promise<FailingFile> {
  const [disk, mountPoint] = [join(folder, 'disk'), join(folder, 'mount')];
  const copy = join(mountPoint, 'file');
  await mkdir(mountPoint, { recursive: true });
  await execute(['truncate', '-s', String(size + OVERHEAD_BYTES), disk]);
  await execute(['mkfs.ext4', '-q', '-F', '-O', '^has_journal', disk]);
  await execute(['mount', '-o', 'loop', disk, mountPoint]);
  await copyFile(file, copy);
  // All of it is on the disk then.
  await execute(['umount', mountPoint]);
  const firstBlock = await firstBlockOf(disk);
  await execute(['mount', '-o', 'loop,ro', disk, mountPoint]);
  await symlink(copy, `${file}.link`);
  await rename(`${file}.link`, file);
  return {
    path: file,
    break: async () => {
      await truncate(disk, firstBlock + size / 2);
      // Nothing of it stays in the page cache.
      await execute(['dd', `if=${copy}`, 'iflag=nocache', 'count=0', 'status=none']);
    },
    [Symbol.asyncDispose]: async () => {
      await execute(['umount', '--lazy', mountPoint]);
    },
  };
}

/** Where the file begins on the disk, in bytes. */
async function firstBlockOf(disk: string): Promise<number> {
  const show = (request: string): Promise<string> => execute(['debugfs', '-R', request, disk]);
  const block = Number((await show('bmap /file 0')).trim());
  const blockSize = Number(/^Block size:\s+(\d+)/m.exec(await show('stats -h'))?.[1]);
  return block * blockSize;
}
