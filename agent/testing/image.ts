import { createHash, randomBytes } from 'node:crypto';

import type { Descriptor } from '../oci/descriptor.ts';
import { parseDigest, type Digest } from '../oci/digest.ts';
import { MEDIA_TYPE } from '../oci/media-type.ts';
import type { MemoryStore } from '../store/memory-store.ts';

/** A small image: its blobs by digest, and the descriptor of its manifest. */
export interface TestImage {
  readonly manifest: Descriptor;
  readonly config: Digest;
  readonly layers: readonly Digest[];
  readonly blobs: ReadonlyMap<Digest, Buffer>;
}

/** Makes an image of random layers with the given lengths in bytes. */
export function makeImage(...layerSizes: readonly number[]): TestImage {
  const blobs = new Map<Digest, Buffer>();
  const add = (bytes: Buffer, mediaType: string): Descriptor => {
    const digest = sha256(bytes);
    blobs.set(digest, bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const layers = layerSizes.map((size) =>
    add(randomBytes(size), 'application/vnd.oci.image.layer.v1.tar'),
  );
  const config = add(
    Buffer.from(JSON.stringify({ id: randomBytes(8).toString('hex') })),
    MEDIA_TYPE.ociConfig,
  );
  const bytes = Buffer.from(
    JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE.ociManifest, config, layers }),
  );
  const manifest = add(bytes, MEDIA_TYPE.ociManifest);
  return { manifest, config: config.digest, layers: layers.map(({ digest }) => digest), blobs };
}

/** Adds the image's blobs to the store, and an image record when a name is given. */
export function putImage(store: MemoryStore, image: TestImage, name?: string): void {
  for (const [digest, bytes] of image.blobs) store.putBlob(bytes, digest);
  if (name !== undefined) store.setImage(name, image.manifest);
}

/** The digest of the bytes. */
export function sha256(bytes: Uint8Array): Digest {
  const digest = parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`);
  if (digest === undefined) throw new Error('unreachable: a hash is well-formed');
  return digest;
}
