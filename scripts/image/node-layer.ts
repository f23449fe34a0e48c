import { FileTree } from './file-tree.ts';
import { readNpmPackage } from './npm-package.ts';
import type { Platform } from './platform.ts';

/** Path of Node.js in the image. */
export const NODE_PATH = 'usr/bin/node';

/**
 * Builds the layer of Node.js: the program of the npm package, and its licence. It is not stripped, which would save a tenth
 * of the download. Then the image would depend on the binutils of the machine, and differ from the released program.
 */
export async function nodeTree(
  root: string,
  { node }: Platform,
  cache: string,
): Promise<{ readonly tree: FileTree; readonly program: Buffer }> {
  const files = await readNpmPackage(root, `node-linux-${node}`, ['bin/node', 'LICENSE'], cache);
  const program = files.get('bin/node') ?? Buffer.alloc(0);
  const tree = new FileTree();
  tree.addFile(NODE_PATH, program, 0o755);
  tree.addFile('usr/share/doc/nodejs/copyright', files.get('LICENSE') ?? '');
  return { tree, program };
}
