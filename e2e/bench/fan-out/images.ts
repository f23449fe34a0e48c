import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import {
  initLayout,
  putBlob,
  putJson,
  type Descriptor,
} from '../../../scripts/oci-image/oci-layout.ts';
import { runDirectory } from '../../harness/run.ts';
import type { Upstream } from '../../harness/upstream.ts';
import { hostPlatform } from '../../images/image.ts';
import { randomBytes } from '../../images/random.ts';
import { sum } from '../support/samples.ts';
import type { ImageShape } from './options.ts';

const MEDIA_TYPES = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
} as const;

/** The end of a tar: what follows is not unpacked. */
const END_OF_TAR = Buffer.alloc(1024);

/** An image in the registry that no node holds yet. */
export interface FreshImage {
  readonly name: string;
  /** Its manifest, config and layers. */
  readonly digests: readonly string[];
  /** All of these together. */
  readonly bytes: number;
}

/**
 * Puts an image of random bytes that never was anywhere into the registry. Each layer is an empty tar, with the bytes
 * behind its end: every containerd downloads, verifies and commits it as a layer, and has no file to unpack. The disks
 * and processors of all nodes are one, and would measure unpacking instead of downloading.
 */
export async function pushFreshImage(upstream: Upstream, shape: ImageShape): Promise<FreshImage> {
  const layout = join(runDirectory(), `fresh-${randomUUID()}`);
  await mkdir(layout);
  try {
    await initLayout(layout);
    const layers: Descriptor[] = [];
    for (let index = 0; index < shape.layers; index += 1) {
      layers.push(await putBlob(layout, MEDIA_TYPES.layer, layerBytes(shape.layerBytes)));
    }
    const config = await putJson(layout, MEDIA_TYPES.config, {
      ...hostPlatform(),
      config: {},
      // Not compressed, so the digest of the tar is that of the blob.
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    });
    const descriptor = await putJson(layout, MEDIA_TYPES.manifest, {
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.manifest,
      config,
      layers,
    });
    const name = `${upstream.registry}/bench/fresh:${randomUUID()}`;
    const manifest = { descriptor, config, layers: layers.map((it) => ({ descriptor: it })) };
    await upstream.push(layout, { name, target: descriptor, manifests: [manifest] });
    const blobs = [descriptor, config, ...layers];
    return {
      name,
      digests: blobs.map(({ digest }) => digest),
      bytes: sum(blobs.map(({ size }) => size)),
    };
  } finally {
    await rm(layout, { recursive: true, force: true });
  }
}

function* layerBytes(bytes: number): Generator<Buffer, void, undefined> {
  yield END_OF_TAR;
  yield* randomBytes(randomUUID(), Math.max(0, bytes - END_OF_TAR.length));
}
