import { posix } from 'node:path';

import { pack, type Header, type Pack } from 'tar-stream';

type Entry =
  | { readonly type: 'file'; readonly mode: number; readonly bytes: Buffer }
  | { readonly type: 'symlink'; readonly target: string }
  | { readonly type: 'directory'; readonly mode: number };

/**
 * Time of every entry. The time of the commit would change the layers of every version, although their files are the same.
 */
const MTIME = new Date(0);

/** The files of a layer. Paths are relative to the root of the image: `usr/bin/node`. */
export class FileTree {
  readonly #entries = new Map<string, Entry>();

  /** Paths of all files, links and folders, in the order of the tar. */
  get paths(): string[] {
    return [...this.#entries.keys()].sort(byCodeUnit);
  }

  /**
   * Adds a file, and its folders with mode 0755.
   *
   * @throws Error when the path exists
   */
  addFile(path: string, bytes: Buffer | string, mode = 0o644): void {
    this.#add(path, { type: 'file', mode, bytes: Buffer.from(bytes) });
  }

  addLink(path: string, target: string): void {
    this.#add(path, { type: 'symlink', target });
  }

  /** Adds a folder. Folders of files are added automatically, with mode 0755. */
  addFolder(path: string, mode = 0o755): void {
    this.#add(path, { type: 'directory', mode });
  }

  /** The content of a file; undefined if the path is not a file. */
  file(path: string): Buffer | undefined {
    const entry = this.#entries.get(path);
    return entry?.type === 'file' ? entry.bytes : undefined;
  }

  /** Packs the tree. The same files give the same bytes: entries are sorted, belong to root and have no times. */
  toTar(): Pack {
    const tar = pack();
    for (const path of this.paths) {
      const entry = this.#entries.get(path);
      if (entry !== undefined) addToTar(tar, path, entry);
    }
    tar.finalize();
    return tar;
  }

  #add(path: string, entry: Entry): void {
    const old = this.#entries.get(path);
    if (old !== undefined && entry.type !== 'directory') throw new Error(`${path} is there twice`);
    this.#entries.set(path, entry);
    for (let folder = posix.dirname(path); folder !== '.'; folder = posix.dirname(folder)) {
      if (this.#entries.has(folder)) break;
      this.#entries.set(folder, { type: 'directory', mode: 0o755 });
    }
  }
}

function addToTar(tar: Pack, path: string, entry: Entry): void {
  const common: Pick<Header, 'mtime' | 'uid' | 'gid'> = { mtime: MTIME, uid: 0, gid: 0 };
  switch (entry.type) {
    case 'file':
      tar.entry({ ...common, name: path, mode: entry.mode }, entry.bytes);
      break;
    case 'symlink':
      tar.entry({
        ...common,
        name: path,
        type: 'symlink',
        linkname: entry.target,
        mode: 0o777,
      });
      break;
    case 'directory':
      tar.entry({ ...common, name: `${path}/`, type: 'directory', mode: entry.mode });
      break;
  }
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
