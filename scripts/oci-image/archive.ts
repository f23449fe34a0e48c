import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { pack, type Pack } from 'tar-stream';

/**
 * Packs an OCI image layout into one tar file for `ctr image import`. The importer names each image of `index.json` by its
 * `io.containerd.image.name` annotation.
 */
export async function toArchive(layout: string, file: string): Promise<void> {
  const tar = pack();
  const written = writeLayout(tar, layout).catch((error: unknown) => {
    tar.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  await Promise.all([pipeline(tar, createWriteStream(file)), written]);
}

async function writeLayout(tar: Pack, layout: string): Promise<void> {
  await addFile(tar, layout, 'oci-layout');
  await addFile(tar, layout, 'index.json');
  for (const digest of await readdir(join(layout, 'blobs', 'sha256'))) {
    await addFile(tar, layout, `blobs/sha256/${digest}`);
  }
  tar.finalize();
}

async function addFile(tar: Pack, layout: string, name: string): Promise<void> {
  const path = join(layout, name);
  const { size } = await stat(path);
  const entry = tar.entry({ name, size, mode: 0o644 });
  const finished = once(entry, 'finish');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) {
    if (!entry.write(chunk)) await once(entry, 'drain');
  }
  entry.end(undefined);
  await finished;
}
