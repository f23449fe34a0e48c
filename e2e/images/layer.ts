import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { PassThrough, type Duplex } from 'node:stream';
import { constants, createGzip, createZstdCompress } from 'node:zlib';

import { pack, type Pack } from 'tar-stream';

import { putBlob, tap, type Descriptor } from '../../scripts/oci-image/oci-layout.ts';
import { randomBytes } from './random.ts';

/** How a layer's tar is packed. */
export type Compression = 'none' | 'gzip' | 'zstd';

/** One layer to generate. */
export interface LayerSpec {
  /** Regular files in it; default 3. With 0 it is a tar without entries: the empty layer. */
  readonly files?: number;
  /** Bytes of all its files together; default 64 KiB. */
  readonly bytes?: number;
  /** Default `gzip`. Random bytes do not shrink, so `none` is the choice for large ones: it costs no time. */
  readonly compression?: Compression;
}

/** A regular file in a layer, to be looked for after unpacking. */
export interface LayerFile {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

/** A layer that is in the layout. */
export interface BuiltLayer {
  readonly descriptor: Descriptor;
  /** Digest of the tar itself, as the image's config lists it. */
  readonly diffId: string;
  readonly files: readonly LayerFile[];
}

const MTIME = new Date('2024-01-01T00:00:00Z');

/**
 * Generates a layer straight into the layout: it is streamed from the key stream to the file, so one of
 * 1 GiB takes seconds and no memory.
 *
 * @param seed the same seed and spec give the same layer, byte for byte
 * @param root folder of the layer's files in the image, so that layers do not cover each other
 */
export async function buildLayer(
  layout: string,
  mediaType: string,
  spec: LayerSpec,
  seed: string,
  root: string,
): Promise<BuiltLayer> {
  const files: LayerFile[] = [];
  const diffId = createHash('sha256');
  const tar = pack();
  const written = writeEntries(tar, spec, seed, root, files).catch((error: unknown) => {
    tar.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  const compressor = createCompressor(spec.compression ?? 'gzip');
  const packed = pipeline(
    tap(tar as AsyncIterable<Buffer>, (chunk) => diffId.update(chunk)),
    compressor,
  );
  const [descriptor] = await Promise.all([putBlob(layout, mediaType, compressor), packed, written]);
  return { descriptor, diffId: `sha256:${diffId.digest('hex')}`, files };
}

async function writeEntries(
  tar: Pack,
  spec: LayerSpec,
  seed: string,
  root: string,
  files: LayerFile[],
): Promise<void> {
  const count = spec.files ?? 3;
  const total = spec.bytes ?? 64 * 1024;
  if (count > 0) {
    tar.entry({ name: `${root}/`, type: 'directory', mode: 0o755, mtime: MTIME });
  }
  for (let index = 0; index < count; index++) {
    const path = `${root}/file-${index}.bin`;
    const size = Math.floor(total / count) + (index < total % count ? 1 : 0);
    files.push({ path, size, sha256: await writeFileEntry(tar, path, size, `${seed}/${path}`) });
  }
  tar.finalize();
}

async function writeFileEntry(
  tar: Pack,
  name: string,
  size: number,
  seed: string,
): Promise<string> {
  const hash = createHash('sha256');
  if (size === 0) {
    tar.entry({ name, mode: 0o644, mtime: MTIME }, '');
    return hash.digest('hex');
  }
  const entry = tar.entry({ name, size, mode: 0o644, mtime: MTIME });
  const finished = once(entry, 'finish');
  for (const chunk of randomBytes(seed, size)) {
    hash.update(chunk);
    if (!entry.write(chunk)) await once(entry, 'drain');
  }
  entry.end(undefined);
  await finished;
  return hash.digest('hex');
}

function createCompressor(compression: Compression): Duplex {
  switch (compression) {
    case 'none':
      return new PassThrough();
    case 'gzip':
      return createGzip({ level: 1 });
    case 'zstd':
      return createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  }
}
