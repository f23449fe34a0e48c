import { join } from 'node:path';

/** Folders of the node that lie elsewhere in the tests, by their paths in a manifest. */
export type HostFolders = Readonly<Record<string, string>>;

/**
 * Maps the paths of a manifest to those of a node. The nodes share one machine, so each has its own tree: the folders
 * of containerd are where the node's containerd has them, and all others lie below `rest`.
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
