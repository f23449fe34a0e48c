import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { bundleAgent } from '../bundle.ts';
import { FileTree } from './file-tree.ts';
import { NODE_PATH } from './node-layer.ts';
import { readLockfile, readNpmPackage, type LockedPackage } from './npm-package.ts';
import type { Platform } from './platform.ts';

/** An npm package with files in the image. */
export interface ShippedPackage extends LockedPackage {
  readonly name: string;
}

/** The layer of the agent, and the packages in it. */
export interface AgentTree {
  readonly tree: FileTree;
  /** Sorted by name and version. */
  readonly packages: readonly ShippedPackage[];
  /** The native library, to find the libraries that it needs. */
  readonly native: Buffer;
}

const HOME = 'usr/lib/peerglass';

/** Path of the command. It is a link to a file that the kernel can start, because the image has no shell. */
const PROGRAM = 'usr/bin/peerglass';

/** Builds the layer: the bundle as the command `peerglass`, koffi's library for the platform, and the licences of both. */
export async function agentTree(
  root: string,
  { node }: Platform,
  cache: string,
): Promise<AgentTree> {
  const folder = await mkdtemp(join(tmpdir(), 'peerglass-bundle-'));
  try {
    const outfile = join(folder, 'peerglass.mjs');
    const inputs = await bundleAgent({
      root,
      outfile,
      hashbang: `#!/${NODE_PATH}`,
      companions: false,
    });
    const library = `linux_${node}/koffi.node`;
    const koffi = `@koromix/koffi-linux-${node}`;
    const files = await readNpmPackage(root, koffi, [library], cache);
    const native = files.get(library) ?? Buffer.alloc(0);
    const packages = await shippedPackages(root, [
      ...Object.keys(inputs),
      'node_modules/koffi/',
      `node_modules/${koffi}/`,
    ]);
    const tree = new FileTree();
    tree.addFile(`${HOME}/peerglass.mjs`, await readFile(outfile), 0o755);
    tree.addFile(`${HOME}/koffi.node`, native);
    tree.addLink(PROGRAM, '../lib/peerglass/peerglass.mjs');
    tree.addFile('usr/share/doc/peerglass/copyright', await readFile(join(root, 'LICENSE')));
    tree.addFile('usr/share/doc/peerglass/third-party', await licences(root, packages));
    return { tree, packages: packages.map(({ shipped }) => shipped), native };
  } finally {
    await rm(folder, { recursive: true });
  }
}

interface InstalledPackage {
  /** `node_modules/a/node_modules/b`. */
  readonly folder: string;
  readonly shipped: ShippedPackage;
}

async function shippedPackages(
  root: string,
  files: readonly string[],
): Promise<InstalledPackage[]> {
  const lockfile = await readLockfile(root);
  const packages = new Map<string, InstalledPackage>();
  for (const file of files) {
    const folder = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(file)?.[0];
    if (folder === undefined) continue;
    const locked = lockfile[folder];
    if (locked === undefined) throw new Error(`${folder} is not in package-lock.json`);
    const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
    // The same version may be installed in several folders.
    packages.set(`${name}@${locked.version}`, { folder, shipped: { ...locked, name } });
  }
  return [...packages].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, it]) => it);
}

/** The licence texts of the packages, joined into one text. */
async function licences(root: string, packages: readonly InstalledPackage[]): Promise<string> {
  const parts: string[] = [];
  for (const { folder, shipped } of packages) {
    const { name, version, license = 'no licence stated' } = shipped;
    const texts: string[] = [];
    // Binaries for other platforms are not installed. Their licence is that of the package that depends on them.
    const names = (await readdir(join(root, folder)).catch(() => [])).sort();
    for (const file of names.filter((it) => /^(licen[cs]e|copying|notice)/i.test(it))) {
      texts.push(await readFile(join(root, folder, file), 'utf8'));
    }
    parts.push(
      `${'='.repeat(78)}\n${name} ${version}: ${license}\n`,
      ...texts.map((it) => `\n${it}`),
    );
  }
  return parts.join('\n');
}
