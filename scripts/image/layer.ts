import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { createGzip } from 'node:zlib';

import type { FileTree } from './file-tree.ts';
import { blobPath, putBlob, type Descriptor } from '../oci-image/oci-layout.ts';

/** A layer in a layout. */
export interface Layer {
  readonly descriptor: Descriptor;
  /** Digest of the uncompressed tar (OCI image specification, config.md, "Layer DiffID"). */
  readonly diffId: string;
}

const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** Level 9 takes three times as long, and saves only 0.3 % of Node.js. */
const GZIP_LEVEL = 6;

/**
 * Adds the tree to the layout as a layer. zlib writes neither a name nor a time into the gzip header. So the same tree gives
 * the same blob, as long as the version of Node.js and its zlib is the same.
 *
 * @param cache folder of packed layers by the digest of their tar
 */
export async function putLayer(layout: string, tree: FileTree, cache: string): Promise<Layer> {
  const diffId = `sha256:${await sha256(tree.toTar() as AsyncIterable<Buffer>)}`;
  const folder = join(cache, `gzip-${GZIP_LEVEL}-zlib-${process.versions.zlib}`);
  const packed = join(folder, diffId.slice('sha256:'.length));
  const cached = await putBlob(layout, GZIP, createReadStream(packed)).catch(() => undefined);
  if (cached !== undefined) return { descriptor: cached, diffId };
  const gzip = tree.toTar().pipe(createGzip({ level: GZIP_LEVEL }));
  const descriptor = await putBlob(layout, GZIP, gzip);
  await mkdir(folder, { recursive: true });
  const incoming = `${packed}.${process.pid}`;
  await copyFile(blobPath(layout, descriptor.digest), incoming);
  await rename(incoming, packed);
  return { descriptor, diffId };
}

async function sha256(bytes: AsyncIterable<Buffer>): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of bytes) hash.update(chunk);
  return hash.digest('hex');
}
