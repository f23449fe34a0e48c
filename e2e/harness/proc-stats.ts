import { readdir, readFile, readlink } from 'node:fs/promises';

/** What a process holds at this moment. */
export interface ProcStats {
  /** Resident memory in bytes. */
  readonly rssBytes: number;
  /** Of it, memory that belongs to no file: heap and buffers. */
  readonly anonymousBytes: number;
  /** Open file descriptors of all kinds. */
  readonly descriptors: number;
  /** Of them, sockets. */
  readonly sockets: number;
  /** Of them, files in a content store. */
  readonly blobFiles: number;
}

/** Reads `/proc/PID`. */
export async function procStats(pid: number): Promise<ProcStats> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  const kibibytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
  const folder = `/proc/${pid}/fd`;
  const targets: string[] = [];
  for (const descriptor of await readdir(folder)) {
    // One may close between the two calls.
    targets.push(await readlink(`${folder}/${descriptor}`).catch(() => ''));
  }
  const open = targets.filter((target) => target !== '');
  return {
    rssBytes: kibibytes('VmRSS'),
    anonymousBytes: kibibytes('RssAnon'),
    descriptors: open.length,
    sockets: open.filter((target) => target.startsWith('socket:')).length,
    blobFiles: open.filter((target) => target.includes('/blobs/sha256/')).length,
  };
}
