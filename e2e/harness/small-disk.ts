import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { execute } from './child.ts';
import type { ClusterNode } from './cluster.ts';

/**
 * Puts a small empty disk where the node's containerd keeps content, until it is disposed of. The agent is restarted, as it
 * watches the folders that are there when it starts.
 *
 * @param bytes its size; what exceeds it is refused with ENOSPC
 */
export async function putSmallDisk(
  { containerd, agent }: ClusterNode,
  bytes: number,
): Promise<AsyncDisposable> {
  const path = containerd.contentPath;
  await execute(['mount', '-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path]);
  for (const folder of ['blobs/sha256', 'ingest']) {
    await mkdir(join(path, folder), { recursive: true });
  }
  await agent.restart();
  return {
    [Symbol.asyncDispose]: async () => {
      await execute(['umount', '--lazy', path]);
      await agent.restart();
    },
  };
}
