import { link, lstat, mkdir, open, rename, rmdir, unlink } from 'node:fs/promises';

import { hasCode } from '../errors/system-error.ts';

/** Who may read a file, and whose it is. */
export interface FileOwner {
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** All ways in which the configuration changes a file system; each either happens or does not, but for `create`. */
export interface FileOperations {
  /** A new file with everything in it, on the disk when this resolves. After a crash it may be there in part. */
  create(path: string, content: Buffer, owner: FileOwner): Promise<void>;
  makeFolder(path: string, mode: number): Promise<void>;
  /** A second name for the same file, or for a symbolic link itself. */
  link(from: string, to: string): Promise<void>;
  /** Replaces what has the name, without a moment in which nothing has it. */
  rename(from: string, to: string): Promise<void>;
  removeFile(path: string): Promise<void>;
  /** Rejects unless it is empty. */
  removeFolder(path: string): Promise<void>;
  /** Makes what was done in a folder outlast a power cut. */
  sync(folder: string): Promise<void>;
}

/** {@link FileOperations} on the file system of the machine. */
export const nodeFileOperations: FileOperations = {
  async create(path, content, { mode, uid, gid }) {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(content);
      const { uid: ownUid, gid: ownGid } = await file.stat();
      // Only root may, and it may not be needed.
      if (uid !== ownUid || gid !== ownGid) await file.chown(uid, gid);
      // After the change of owner, which takes bits away; and not the umask's to decide.
      await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
  },
  async makeFolder(path, mode) {
    await mkdir(path);
    const folder = await open(path);
    try {
      await folder.chmod(mode);
    } finally {
      await folder.close();
    }
  },
  link,
  rename,
  removeFile: unlink,
  removeFolder: rmdir,
  async sync(path) {
    const folder = await open(path);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  },
};

/** `lstat`, or undefined where there is nothing. */
export async function entryAt(
  path: string,
): Promise<Awaited<ReturnType<typeof lstat>> | undefined> {
  try {
    return await lstat(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}
