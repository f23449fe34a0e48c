import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

import { agentTree } from '../image/agent-layer.ts';
import { FileTree } from '../image/file-tree.ts';
import { NODE_PATH, nodeTree } from '../image/node-layer.ts';
import type { Platform } from '../image/platform.ts';

/** Options of an archive. */
export interface HostArchiveInit {
  /** Folder of the repository. */
  readonly root: string;
  /** Folder for downloads. */
  readonly cache: string;
  readonly version: string;
  readonly platform: Platform;
}

/** Files of scripts/deploy/ with their modes. */
const DEPLOYED = {
  install: 0o755,
  peerglass: 0o755,
  'peerglass.env': 0o644,
  'peerglass.nomad.json': 0o644,
  'peerglass.service': 0o644,
} as const;

/** Output of `uname -m`, by Node.js's name of the architecture. */
const MACHINES = { x64: 'x86_64', arm64: 'aarch64' } as const;

/** As for the layers of the image: level 9 takes three times as long, and saves almost nothing. */
const GZIP_LEVEL = 6;

/** Name of an archive, and of the folder in it. */
export function archiveName({ version, platform }: HostArchiveInit): string {
  return `peerglass-${version}-linux-${platform.architecture}`;
}

/** Builds the content of an archive: the agent and Node.js, as in the image, and the installer. */
export async function hostTree(init: HostArchiveInit): Promise<FileTree> {
  const { root, cache, platform } = init;
  const agent = await agentTree(root, platform, cache);
  const node = await nodeTree(root, platform, cache);
  const part = (from: FileTree, path: string): Buffer => {
    const bytes = from.file(path);
    if (bytes === undefined) throw new Error(`the image has no ${path}`);
    return bytes;
  };
  const tree = new FileTree();
  const add = (name: string, bytes: Buffer | string, mode?: number): void => {
    tree.addFile(`${archiveName(init)}/${name}`, bytes, mode);
  };
  for (const [name, mode] of Object.entries(DEPLOYED)) {
    add(name, await readFile(join(root, 'scripts/deploy', name)), mode);
  }
  add('architecture', `${MACHINES[platform.node]}\n`);
  add('node', part(node.tree, NODE_PATH), 0o755);
  add('peerglass.mjs', part(agent.tree, 'usr/lib/peerglass/peerglass.mjs'));
  add('koffi.node', part(agent.tree, 'usr/lib/peerglass/koffi.node'));
  add('LICENSE', part(agent.tree, 'usr/share/doc/peerglass/copyright'));
  add(
    'THIRD-PARTY',
    Buffer.concat([
      part(agent.tree, 'usr/share/doc/peerglass/third-party'),
      Buffer.from(`\n${'='.repeat(78)}\nNode.js\n\n`),
      part(node.tree, 'usr/share/doc/nodejs/copyright'),
    ]),
  );
  return tree;
}

/**
 * Writes the tree as a `.tar.gz`, and beside it a checksum file for `sha256sum --check`. The same tree and the same version
 * of Node.js, whose zlib compresses it, give the same bytes.
 */
export async function writeArchive(tree: FileTree, file: string): Promise<void> {
  await mkdir(join(file, '..'), { recursive: true });
  const incoming = `${file}.${process.pid}`;
  await pipeline(tree.toTar(), createGzip({ level: GZIP_LEVEL }), createWriteStream(incoming));
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(incoming)) hash.update(chunk as Buffer);
  await rename(incoming, file);
  await writeFile(`${file}.sha256`, `${hash.digest('hex')}  ${basename(file)}\n`);
}
