import { once } from 'node:events';
import { readFile, readlink } from 'node:fs/promises';
import { connect } from 'node:net';

import { codeOf } from '../../errors/system-error.ts';
import { socketDescriptor } from '../../native/kernel.ts';
import { Libc } from '../../native/libc.ts';
import { CheckSkippedError } from '../report.ts';

/** A process that this one can see. */
export interface RunningProcess {
  readonly pid: number;
  /** The words of its command line. */
  readonly command: readonly string[];
}

/**
 * Checks that this process may open the socket.
 *
 * @throws CheckSkippedError when it may not; Error with the system's `code` when nothing listens
 */
export async function mayOpen(socketPath: string, signal?: AbortSignal): Promise<void> {
  const socket = connect(socketPath);
  try {
    await once(socket, 'connect', { ...(signal && { signal }) });
  } catch (error) {
    const code = codeOf(error);
    if (code !== 'EACCES' && code !== 'EPERM') throw error;
    throw new CheckSkippedError(`${socketPath} may be opened by root only; run doctor as root`, {
      cause: error,
    });
  } finally {
    socket.destroy();
  }
}

/**
 * Finds the process that listens on a Unix socket, by SO_PEERCRED, which needs no rights.
 *
 * @throws CheckSkippedError when the process is not visible from here
 */
export async function processBehind(
  socketPath: string,
  signal?: AbortSignal,
): Promise<RunningProcess> {
  const socket = connect(socketPath);
  let pid: number;
  try {
    await once(socket, 'connect', { ...(signal && { signal }) });
    pid = new Libc().peerProcess(socketDescriptor(socket) ?? -1);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CheckSkippedError(`the process of containerd cannot be found: ${why}`, {
      cause: error,
    });
  } finally {
    socket.destroy();
  }
  if (pid <= 0) {
    throw new CheckSkippedError(
      'the process of containerd is not visible from here; run doctor on the node itself, or in a container with hostPID',
    );
  }
  const command = (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
  return { pid, command: command.filter((word) => word !== '') };
}

/**
 * Returns whether another process is in the same namespace as this one.
 *
 * @returns undefined when this process may not read that
 */
export async function sharesNamespace(
  pid: number,
  kind: 'net' | 'mnt',
): Promise<boolean | undefined> {
  try {
    const [theirs, ours] = await Promise.all([
      readlink(`/proc/${pid}/ns/${kind}`),
      readlink(`/proc/self/ns/${kind}`),
    ]);
    return theirs === ours;
  } catch {
    return undefined;
  }
}
