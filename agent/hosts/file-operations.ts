import { link, lstat, mkdir, open, rename, rmdir, unlink } from 'node:fs/promises';

import { hasCode } from '../errors/system-error.ts';

/** Permissions and owner of a file. */
export interface FileOwner {
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

/** All operations by which the configuration changes a file system. Each is atomic, except `create`. */
export interface FileOperations {
  /** Creates a file and flushes it to the disk before it resolves. A crash may leave a part of it. Rejects if it exists. */
  create(path: string, content: Buffer, owner: FileOwner): Promise<void>;
  /** Creates a folder. Rejects if the path exists. */
  makeFolder(path: string, mode: number): Promise<void>;
  /** Makes a hard link. A symbolic link is not followed. */
  link(from: string, to: string): Promise<void>;
  /** Renames, and atomically replaces a file that has the name `to`. */
  rename(from: string, to: string): Promise<void>;
  removeFile(path: string): Promise<void>;
  /** Removes a folder. Rejects unless it is empty. */
  removeFolder(path: string): Promise<void>;
  /** Flushes the entries of a folder, so that changes to them survive a power cut. */
  sync(folder: string): Promise<void>;
}

/** {@link FileOperations} on the file system of the machine. */
export const nodeFileOperations: FileOperations = {
  async create(path, content, { mode, uid, gid }) {
    const file = await open(path, 'wx', 0o600);
    try {
      await file.writeFile(content);
      const { uid: ownUid, gid: ownGid } = await file.stat();
      // Only root may change the owner, so do it only where it differs.
      if (uid !== ownUid || gid !== ownGid) await file.chown(uid, gid);
      // After `chown`, which clears set-ID bits. The umask does not apply to `chmod`.
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

/** `lstat` of a path; undefined when nothing is there. */
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
