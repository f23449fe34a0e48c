import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { fileTree } from '../../../agent/testing/file-tree.ts';
import type { Machine } from './machine.ts';

/** How an administrator may have configured containerd before there was a mirror. */
export type HandWritten = 'file' | 'link' | 'none';

/** Writes that configuration: a file, a link to one, or no folder at all, with unusual modes. */
export async function configureByHand({ containerd }: Machine, how: HandWritten): Promise<void> {
  if (how === 'none') return;
  const folder = join(containerd.certsDir, '_default');
  await mkdir(folder, { recursive: true });
  await chmod(containerd.certsDir, 0o750);
  const file = join(containerd.certsDir, how === 'link' ? 'mirrors.toml' : '_default/hosts.toml');
  await writeFile(file, "server = 'https://mirror.internal.example.test'\n");
  await chmod(file, 0o640);
  if (how === 'link') await symlink('../mirrors.toml', join(folder, 'hosts.toml'));
  await symlink('../../ca.crt', join(folder, 'ca.crt'));
}

/** containerd's configuration on the node, and below `rest` what else pods have made there. */
export function nodeFiles({ containerd, paths }: Machine): Record<string, string> {
  const rest = Object.entries(fileTree(paths.rest)).map(([path, entry]) => [`rest/${path}`, entry]);
  return {
    ...fileTree(join(containerd.host.directory, 'etc')),
    ...(Object.fromEntries(rest) as Record<string, string>),
  };
}
