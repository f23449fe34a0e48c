import { constants } from 'node:fs';
import { access, open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { codeOf, unlessMissing } from '../../errors/system-error.ts';
import type { Digest } from '../../oci/digest.ts';
import type { Ingest, Ingests } from '../ingests.ts';
import { FileWatches } from './file-watches.ts';
import { IngestFile } from './ingest-file.ts';

/** Unfinished downloads that are looked at to find one; containerd has a few per pull. */
const MAX_ENTRIES = 1_000;

/** Length of a reference in bytes; namespace, number, prefix and digest are below 300. */
const MAX_REF_LENGTH = 1_024;

export interface IngestFolderInit {
  readonly namespace: string;
  /** containerd's content folder. */
  readonly contentPath: string;
  /** Calls `Content.Abort` in the namespace. */
  readonly abort: (ref: string, signal: AbortSignal) => Promise<void>;
  /** The kernel watches of those who wait for more bytes. */
  readonly watches?: FileWatches;
}

/**
 * containerd's unfinished downloads of one namespace, on disk. Each is a folder with `ref`
 * (`k8s.io/1/layer-sha256:<hex>`), `total` (the final length in bytes) and `data`, created in this order before
 * containerd asks for the first byte. A commit renames `data` to the blob's path; an abort removes the folder.
 */
export class IngestFolder implements Ingests {
  readonly #path: string;
  readonly #namespace: string;
  readonly #abort: IngestFolderInit['abort'];
  readonly #watches: FileWatches;

  constructor({ contentPath, namespace, abort, watches = new FileWatches() }: IngestFolderInit) {
    this.#path = join(contentPath, 'ingest');
    this.#namespace = namespace;
    this.#abort = abort;
    this.#watches = watches;
  }

  /** As {@link Ingests.has}; `false` also when the folder cannot be read. */
  async has(digest: Digest): Promise<boolean> {
    return (await this.#find(digest)) !== undefined;
  }

  async open(digest: Digest): Promise<Ingest | undefined> {
    const found = await this.#find(digest);
    if (found === undefined) return undefined;
    const { folder, ref } = found;
    const path = join(folder, 'data');
    const handle = await unlessMissing(open(path, 'r')).catch(() => undefined);
    if (handle === undefined) return undefined;
    // After `data`, which containerd creates last.
    const total = parseTotal(await text(join(folder, 'total')));
    const abort = (signal: AbortSignal): Promise<void> => this.#abort(ref, signal);
    return new IngestFile({ digest, total, path, handle, watches: this.#watches, abort });
  }

  /** containerd makes the folder when it starts. */
  async problem(): Promise<string | undefined> {
    try {
      await access(this.#path, constants.R_OK | constants.X_OK);
      return undefined;
    } catch (error) {
      return `${this.#path} cannot be read (${codeOf(error) ?? String(error)})`;
    }
  }

  /** The folder, and the reference without the namespace, which containerd's API wants. */
  async #find(digest: Digest): Promise<{ folder: string; ref: string } | undefined> {
    const names = await readdir(this.#path).catch((): string[] => []);
    for (const name of names.slice(0, MAX_ENTRIES)) {
      const folder = join(this.#path, name);
      const [namespace, number, ...rest] = (await text(join(folder, 'ref'))).split('/');
      const ref = rest.join('/');
      const isOurs = namespace === this.#namespace && /^\d+$/.test(number ?? '');
      if (isOurs && ref.endsWith(`-${digest}`)) return { folder, ref };
    }
    return undefined;
  }
}

/** The text of a small file; empty when it does not exist yet. */
async function text(path: string): Promise<string> {
  const found = await readFile(path, 'utf8').catch(() => '');
  return found.slice(0, MAX_REF_LENGTH).trim();
}

/** containerd writes no `total` when its client did not give the length. */
function parseTotal(total: string): number | undefined {
  return /^\d{1,15}$/.test(total) ? Number(total) : undefined;
}
