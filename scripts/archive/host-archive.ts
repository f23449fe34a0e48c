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

/** An archive to be made. */
export interface HostArchiveInit {
  /** Folder of the repository. */
  readonly root: string;
  /** Folder for what is fetched. */
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

/** What `uname -m` says, by Node.js's word for it. */
const MACHINES = { x64: 'x86_64', arm64: 'aarch64' } as const;

/** As for the layers of the image: level 9 takes three times as long and saves next to nothing. */
const GZIP_LEVEL = 6;

/** What an archive is called, and the folder that it unpacks to. */
export function archiveName({ version, platform }: HostArchiveInit): string {
  return `peerglass-${version}-linux-${platform.architecture}`;
}

/** What a host needs, below one folder: the parts of the image that are ours, Node.js, and the script that installs them. */
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
 * Writes the tree as a `.tar.gz`, the same bytes for the same tree and Node.js (whose zlib packs it), and its checksum
 * beside it as `sha256sum --check` takes it.
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
