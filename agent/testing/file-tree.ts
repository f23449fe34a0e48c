import { lstatSync, readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** All entries below a folder: path to kind, mode, owner and content. */
export function fileTree(root: string, below = ''): Record<string, string> {
  const path = join(root, below);
  const entry = lstatSync(path, { throwIfNoEntry: false });
  if (entry === undefined) return {};
  const { mode, uid, gid } = entry;
  const owner = `${(mode & 0o7777).toString(8)} ${uid}:${gid}`;
  const name = below === '' ? '.' : below;
  if (entry.isSymbolicLink()) return { [name]: `link ${readlinkSync(path)}` };
  if (!entry.isDirectory()) return { [name]: `file ${owner} ${readFileSync(path, 'latin1')}` };
  const tree: Record<string, string> = { [name]: `folder ${owner}` };
  for (const child of readdirSync(path).sort())
    Object.assign(tree, fileTree(root, join(below, child)));
  return tree;
}

/** Inode and times of all entries below a folder, which any write changes. */
export function touchTimes(root: string): Record<string, string> {
  const names = [
    root,
    ...readdirSync(root, { recursive: true }).map((name) => join(root, String(name))),
  ];
  return Object.fromEntries(
    names.map((name) => {
      const { ino, ctimeNs, mtimeNs } = statSync(name, { bigint: true });
      return [name, `${ino} ${ctimeNs} ${mtimeNs}`];
    }),
  );
}
