import { randomUUID } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { toArchive } from '../../scripts/oci-image/archive.ts';
import { buildImage, type BuiltImage, type ImageSpec } from '../images/image.ts';
import { runDirectory } from './run.ts';

/** Names under `.test` exist nowhere (RFC 6761), and the nodes have neither name servers nor routes. */
export const REGISTRY = 'registry.example.test';

/** A generated image, ready to be brought onto a node. */
export interface ImageFixture {
  readonly image: BuiltImage;
  /** The OCI image layout folder with it and nothing else. */
  readonly layout: string;
  /** The same, packed for `ctr image import`. */
  readonly archive: string;
}

/** Generates an image into the run's folder, with content that no other fixture has. */
export async function makeImage(spec: ImageSpec): Promise<ImageFixture> {
  const seed = spec.seed ?? randomUUID();
  const folder = join(runDirectory(), `image-${randomUUID().slice(0, 8)}`);
  const layout = join(folder, 'layout');
  const archive = join(folder, 'image.tar');
  await mkdir(folder);
  const image = await buildImage(layout, { ...spec, seed });
  await toArchive(layout, archive);
  return { image, layout, archive };
}
