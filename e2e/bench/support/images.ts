import { randomBytes } from 'node:crypto';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

import {
  addToIndex,
  IMAGE_NAME,
  initLayout,
  putBlob,
  putJson,
} from '../../../scripts/oci-image/oci-layout.ts';

const REGISTRY = 'registry.example';
const LAYER_BYTES = 64;
const OCI = 'application/vnd.oci.image';

/** Keys of an image beside its layers: tag, manifest and config. */
const KEYS_BESIDE_LAYERS = 3;
const KEYS_PER_IMAGE = 50;

/** Puts images with tiny layers into a layout, 50 keys each; the paths at which a mirror has their keys. */
export async function putSmallImages(layout: string, keys: number): Promise<string[]> {
  const paths: string[] = [];
  while (paths.length < keys) paths.push(...(await putSmallImage(layout, KEYS_PER_IMAGE)));
  return paths;
}

/** Puts one image with tiny layers, like no other, into a layout; the paths at which a mirror has its keys. */
export async function putSmallImage(layout: string, keys: number): Promise<string[]> {
  await initLayout(layout);
  const layers = [];
  for (let layer = KEYS_BESIDE_LAYERS; layer < keys; layer++) {
    layers.push(
      await putBlob(layout, `${OCI}.layer.v1.tar+gzip`, [gzipSync(randomBytes(LAYER_BYTES))]),
    );
  }
  return await putImage(layout, layers);
}

/** Puts an image of one layer into a layout; the path of that layer at a mirror. */
export async function putLargeImage(layout: string, bytes: number): Promise<string> {
  await initLayout(layout);
  const chunk = randomBytes(1 << 20);
  const chunks = Array.from({ length: bytes / chunk.length }, () => chunk);
  const layer = await putBlob(layout, `${OCI}.layer.v1.tar`, chunks);
  const paths = await putImage(layout, [layer]);
  return paths.find((path) => path.includes(layer.digest)) ?? '';
}

/** Removes all images and blobs from a layout. */
export async function clearLayout(layout: string): Promise<void> {
  await rm(join(layout, 'index.json'));
  await initLayout(layout);
  const folder = join(layout, 'blobs/sha256');
  for (const name of await readdir(folder)) await rm(join(folder, name));
}

/** The path of a blob without a holder. */
export function missingPath(): string {
  return `/v2/bench/none/blobs/sha256:${randomBytes(32).toString('hex')}?ns=${REGISTRY}`;
}

async function putImage(
  layout: string,
  layers: readonly { readonly digest: string }[],
): Promise<string[]> {
  const repository = `bench/${randomBytes(6).toString('hex')}`;
  const config = await putJson(layout, `${OCI}.config.v1+json`, { of: repository });
  const mediaType = `${OCI}.manifest.v1+json`;
  const manifest = await putJson(layout, mediaType, {
    schemaVersion: 2,
    mediaType,
    config,
    layers,
  });
  const annotations = { [IMAGE_NAME]: `${REGISTRY}/${repository}:1.0` };
  await addToIndex(layout, { ...manifest, annotations });
  const path = (what: string): string => `/v2/${repository}/${what}?ns=${REGISTRY}`;
  return [
    path('manifests/1.0'),
    path(`manifests/${manifest.digest}`),
    ...[config, ...layers].map(({ digest }) => path(`blobs/${digest}`)),
  ];
}
