import {
  MAX_MANIFEST_BYTES,
  ManifestError,
  parseManifest,
  type Manifest,
} from '../oci/manifest.ts';
import type { OpenBlob } from './content-store.ts';
import { BlobTooLargeError, readBlob } from './read-blob.ts';

/** A manifest with the bytes that it was parsed from. */
export interface ReadManifest extends Manifest {
  readonly bytes: Buffer;
}

/**
 * Reads and parses a manifest of a store. The caller still disposes of the blob.
 *
 * @throws ManifestError when the blob is no manifest, or larger than a manifest may be
 */
export async function readManifest(
  blob: Pick<OpenBlob, 'size' | 'stream'>,
  signal?: AbortSignal,
): Promise<ReadManifest> {
  try {
    const bytes = await readBlob(blob, MAX_MANIFEST_BYTES, signal);
    return { ...parseManifest(bytes), bytes };
  } catch (error) {
    if (error instanceof BlobTooLargeError) throw new ManifestError(error.message);
    throw error;
  }
}
