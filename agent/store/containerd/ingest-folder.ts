import { open, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Digest } from '../../oci/digest.ts';
import { unlessMissing } from '../../errors/system-error.ts';
import type { Ingest, Ingests } from '../ingests.ts';
import { IngestFile } from './ingest-file.ts';

/** Most unfinished downloads that are looked at for one of a digest; containerd has a few per pull. */
const MAX_ENTRIES = 1_000;

/** Longest reference that is read, in bytes: namespace, number, prefix and digest are below 300. */
const MAX_REF_LENGTH = 1_024;

/** What {@link IngestFolder} works with. */
export interface IngestFolderInit {
  readonly namespace: string;
  /** containerd's content folder. */
  readonly contentPath: string;
  /** `Content.Abort` of the namespace. */
  readonly abort: (ref: string, signal: AbortSignal) => Promise<void>;
}

/**
 * containerd's unfinished downloads of one namespace, as they lie on disk: a folder each, with `data`, with
 * `total` (its length to be), and with `ref`: `k8s.io/1/layer-sha256:<hex>`. The folder is made before containerd
 * asks for the first byte.
 */
export class IngestFolder implements Ingests {
  readonly #path: string;
  readonly #namespace: string;
  readonly #abort: IngestFolderInit['abort'];

  constructor({ contentPath, namespace, abort }: IngestFolderInit) {
    this.#path = join(contentPath, 'ingest');
    this.#namespace = namespace;
    this.#abort = abort;
  }

  /** `false` when the folder cannot be read from here. */
  async has(digest: Digest): Promise<boolean> {
    return (await this.#find(digest)) !== undefined;
  }

  async open(digest: Digest): Promise<Ingest | undefined> {
    const found = await this.#find(digest);
    if (found === undefined) return undefined;
    const { folder, ref } = found;
    const path = join(folder, 'data');
    const total = Number(await text(join(folder, 'total')));
    const handle = await unlessMissing(open(path, 'r')).catch(() => undefined);
    if (handle === undefined) return undefined;
    const abort = (signal: AbortSignal): Promise<void> => this.#abort(ref, signal);
    return new IngestFile({ digest, total, path, handle, abort });
  }

  /** The folder, and the reference without the namespace, by which containerd's API knows it. */
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

/** What the small file says; empty when it is not there, or not yet. */
async function text(path: string): Promise<string> {
  const found = await readFile(path, 'utf8').catch(() => '');
  return found.slice(0, MAX_REF_LENGTH).trim();
}
