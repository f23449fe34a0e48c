import {
  appendFile,
  mkdir,
  mkdtemp,
  readdir,
  rename,
  rm,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import type { Digest } from '../oci/digest.ts';
import { blobPath } from '../store/blob-file.ts';
import { FileWatches } from '../store/containerd/file-watches.ts';
import { IngestFolder } from '../store/containerd/ingest-folder.ts';
import type { DownloadUnderTest, IngestsUnderTest } from './conformance/ingests.ts';

/** A content folder with unfinished downloads, written as containerd writes it, and without a containerd. */
export class IngestFixture implements IngestsUnderTest {
  readonly namespace = 'k8s.io';
  readonly ingests: IngestFolder;
  readonly watches: FileWatches;
  /** The content folder. */
  readonly path: string;
  /** References that were aborted. */
  readonly aborted: string[] = [];
  #count = 0;

  private constructor(path: string, watches: FileWatches) {
    this.path = path;
    this.watches = watches;
    this.ingests = new IngestFolder({
      namespace: this.namespace,
      contentPath: path,
      watches,
      abort: async (ref) => {
        this.aborted.push(ref);
        for (const name of await readdir(join(path, 'ingest'))) {
          await rm(join(path, 'ingest', name), { recursive: true });
        }
      },
    });
  }

  static async create(watches = new FileWatches()): Promise<IngestFixture> {
    return new IngestFixture(await mkdtemp(join(tmpdir(), 'pg-ingest-')), watches);
  }

  begin = async (
    digest: Digest,
    total?: number,
    namespace = this.namespace,
  ): Promise<DownloadUnderTest> => {
    const folder = join(this.path, 'ingest', String((this.#count += 1)));
    const data = join(folder, 'data');
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'ref'), `${namespace}/1/layer-${digest}`);
    if (total !== undefined) await writeFile(join(folder, 'total'), String(total));
    await writeFile(data, '');
    return {
      write: (bytes) => appendFile(data, bytes),
      restart: () => truncate(data, 0),
      commit: async () => {
        const path = blobPath(this.path, digest);
        await mkdir(dirname(path), { recursive: true });
        await rename(data, path);
        await rm(folder, { recursive: true });
      },
      abort: () => rm(folder, { recursive: true }),
    };
  };

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true });
  }
}
