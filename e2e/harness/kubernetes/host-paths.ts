import { join } from 'node:path';

/** Folders of the node that the tests keep elsewhere, by what a manifest calls them. */
export type HostFolders = Readonly<Record<string, string>>;

/**
 * Where the node has what a manifest says is at this path: the nodes share one machine, so each has a tree of its
 * own. containerd's folders are where the node's containerd has them, all others below `rest`.
 */
export class HostPaths {
  readonly rest: string;
  readonly #folders: readonly (readonly [string, string])[];

  constructor(init: { readonly folders: HostFolders; readonly rest: string }) {
    this.rest = init.rest;
    // The longest that fits is meant.
    this.#folders = Object.entries(init.folders).sort(([a], [b]) => b.length - a.length);
  }

  resolve(path: string): string {
    for (const [prefix, folder] of this.#folders) {
      if (path === prefix) return folder;
      if (path.startsWith(`${prefix}/`)) return join(folder, path.slice(prefix.length));
    }
    return join(this.rest, path);
  }
}
