import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { toArchive } from '../oci-image/archive.ts';
import { annotationsOf, type ImageMetadata } from './metadata.ts';
import {
  IMAGE_NAME,
  initLayout,
  putJson,
  REF_NAME,
  writeIndex,
  type Descriptor,
} from '../oci-image/oci-layout.ts';
import { putPlatformImage, type PlatformImage } from './platform-image.ts';
import type { Platform } from './platform.ts';

/** Options of {@link buildImage}. */
export interface BuildInit {
  /** Folder of the repository. */
  readonly root: string;
  /** Output folder of `layout/`, the OCI image layout, and `image.tar`, the same as an archive. */
  readonly output: string;
  /** Folder for downloads and packed layers. */
  readonly cache: string;
  /** The whole reference, `registry.example/peerglass:1.0`. */
  readonly name: string;
  readonly platforms: readonly Platform[];
  readonly metadata: ImageMetadata;
}

/** The result of {@link buildImage}. */
export interface BuiltImage {
  /** Descriptor of the index. */
  readonly target: Descriptor;
  readonly layout: string;
  readonly archive: string;
  readonly images: readonly PlatformImage[];
  /** Platforms that could not be built, with the reason. */
  readonly leftOut: readonly { readonly platform: Platform; readonly reason: unknown }[];
}

const INDEX = 'application/vnd.oci.image.index.v1+json';

/** Maximum download of a node, in bytes. */
export const SIZE_LIMIT = 60_000_000;

/**
 * Builds the image without a container engine. The same sources, packages and platforms give the same digest. The previous
 * output is replaced at the end.
 *
 * @throws Error when no platform can be built, or one is larger than {@link SIZE_LIMIT}
 */
export async function buildImage(init: BuildInit): Promise<BuiltImage> {
  const { output, platforms, metadata, name } = init;
  const incoming = join(output, '.incoming');
  await rm(incoming, { recursive: true, force: true });
  await mkdir(output, { recursive: true });
  await initLayout(incoming);
  const images: PlatformImage[] = [];
  const leftOut: { platform: Platform; reason: unknown }[] = [];
  for (const platform of platforms) {
    try {
      images.push(await putPlatformImage({ ...init, layout: incoming }, platform));
    } catch (reason) {
      leftOut.push({ platform, reason });
    }
  }
  if (images.length === 0) {
    throw new Error('no platform could be built for', { cause: leftOut[0]?.reason });
  }
  for (const built of images) checkSize(built);
  const index = await putJson(incoming, INDEX, {
    schemaVersion: 2,
    mediaType: INDEX,
    manifests: images.map(({ image }) => image),
    annotations: annotationsOf(metadata),
  });
  const tag = name.slice(name.lastIndexOf(':') + 1);
  const target = { ...index, annotations: { [IMAGE_NAME]: name, [REF_NAME]: tag } };
  // A layout has no referrers API. Tools find the SBOMs by reading this list.
  await writeIndex(incoming, [target, ...images.map(({ sbom }) => sbom)]);
  const layout = join(output, 'layout');
  const archive = join(output, 'image.tar');
  await rm(layout, { recursive: true, force: true });
  await rename(incoming, layout);
  await toArchive(layout, archive);
  return { target, layout, archive, images, leftOut };
}

/** Number of bytes that a node downloads. */
export function downloadSize({ sizes }: Pick<PlatformImage, 'sizes'>): number {
  return sizes.base + sizes.node + sizes.agent;
}

/**
 * Checks the download size.
 *
 * @throws Error when it is larger than {@link SIZE_LIMIT}
 */
export function checkSize(built: Pick<PlatformImage, 'sizes'>): void {
  const size = downloadSize(built);
  if (size > SIZE_LIMIT) {
    throw new Error(`${size} bytes to download, more than the ${SIZE_LIMIT} that are allowed`);
  }
}
